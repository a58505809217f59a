package adaptertest

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Proxy stands between an adapter and a server and can do one thing wrong.
// Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	thaw   *sync.Cond
	frozen bool
	match  []byte // cut the connection once the server has answered this
	closed bool
	conns  map[net.Conn]bool
	held   int // bytes kept back while frozen
	work   sync.WaitGroup
}

// NewProxy starts a proxy in front of node. It ends with the test.
func NewProxy(t *testing.T, node warden.NodeID) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the proxy: %v", err)
	}
	p := &Proxy{listener: l, target: net.JoinHostPort(node.Host(), node.Port()), conns: map[net.Conn]bool{}}
	p.thaw = sync.NewCond(&p.mu)
	p.work.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

// Node is the address under which the proxy stands for its node.
func (p *Proxy) Node() warden.NodeID {
	a := p.listener.Addr().(*net.TCPAddr)
	return warden.MakeNode(a.IP.String(), a.Port)
}

// CutAfter lets everything through until a client sends text, waits until the
// server has answered, and ends the connection instead of passing the answer
// on. The server has done what was asked; the client cannot know.
func (p *Proxy) CutAfter(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.match = []byte(text)
}

// Freeze keeps back what clients send from now on, until Thaw.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = true
}

// Held is how many bytes wait for Thaw.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Thaw sends on what was kept back.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen, p.held = false, 0
	p.thaw.Broadcast()
}

// Close ends all connections and waits for everything of the proxy to end.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed, p.frozen = true, false
	p.thaw.Broadcast()
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.listener.Close()
	p.work.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		if p.closed {
			client.Close()
			server.Close()
			p.mu.Unlock()
			return
		}
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		pair := &pair{proxy: p, client: client, server: server}
		p.work.Go(pair.up)
		p.work.Go(pair.down)
	}
}

// pair is one proxied connection.
type pair struct {
	proxy          *Proxy
	client, server net.Conn

	mu  sync.Mutex
	cut bool
}

func (p *pair) close() {
	p.client.Close()
	p.server.Close()
	p.proxy.mu.Lock()
	defer p.proxy.mu.Unlock()
	delete(p.proxy.conns, p.client)
	delete(p.proxy.conns, p.server)
}

// up carries what the client sends.
func (p *pair) up() {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.client.Read(buf)
		if n > 0 {
			p.inspect(buf[:n])
			if _, err := p.server.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// inspect looks for the text after which to cut, and waits while frozen.
func (p *pair) inspect(sent []byte) {
	x := p.proxy
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.match != nil && bytes.Contains(sent, x.match) {
		p.mu.Lock()
		p.cut = true
		p.mu.Unlock()
	}
	if x.frozen {
		x.held += len(sent)
	}
	for x.frozen {
		x.thaw.Wait()
	}
}

// down carries what the server answers.
func (p *pair) down() {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.server.Read(buf)
		p.mu.Lock()
		cut := p.cut
		p.mu.Unlock()
		if cut {
			return
		}
		if n > 0 {
			if _, err := p.client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
