package spineldb

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/spineldb/warden/warden"
)

// fake is a server that answers what a test says: the dialects of servers that
// are not installed here. answer gets the words of one command, in upper case
// up to the first argument, and returns the encoded reply.
type fake struct {
	node warden.NodeID

	mu    sync.Mutex
	heard []string
	names map[int]string // connection -> name it gave itself
	open  map[int]net.Conn
	last  int
}

// startFake starts one. The answers "" and "hang up" send nothing; the latter
// ends the connection.
func startFake(t *testing.T, answer func(f *fake, id int, command string) string) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{names: map[int]string{}, open: map[int]net.Conn{}}
	f.node = warden.MakeNode("127.0.0.1", l.Addr().(*net.TCPAddr).Port)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.last++
			id := f.last
			f.open[id] = conn
			f.mu.Unlock()
			work.Go(func() { f.serve(conn, id, answer) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for _, c := range f.open {
			c.Close()
		}
		f.mu.Unlock()
		work.Wait()
	})
	return f
}

func (f *fake) serve(conn net.Conn, id int, answer func(*fake, int, string) string) {
	defer f.kill(id)
	r := bufio.NewReader(conn)
	for {
		command, err := readFakeCommand(r)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.heard = append(f.heard, command)
		f.mu.Unlock()
		reply := answer(f, id, command)
		if reply == "hang up" {
			return
		}
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

func (f *fake) kill(id int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.open[id]; c != nil {
		c.Close()
	}
	delete(f.open, id)
	delete(f.names, id)
}

// count is how often a command beginning with words was heard.
func (f *fake) count(words string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, h := range f.heard {
		if strings.HasPrefix(h, words) {
			n++
		}
	}
	return n
}

// clientList is what CLIENT LIST says.
func (f *fake) clientList() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b strings.Builder
	for id, c := range f.open {
		fmt.Fprintf(&b, "id=%d addr=%s name=%s\n", id, c.RemoteAddr(), f.names[id])
	}
	return b.String()
}

func readFakeCommand(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "*")))
	if err != nil {
		return "", err
	}
	words := make([]string, n)
	for i := range words {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "$")))
		if err != nil {
			return "", err
		}
		buf := make([]byte, size+2)
		if _, err := io.ReadFull(r, buf); err != nil {
			return "", err
		}
		words[i] = string(buf[:size])
	}
	words[0] = strings.ToUpper(words[0])
	return strings.Join(words, " "), nil
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

// first returns the reply of the longest matching beginning of a command.
func first(replies map[string]string, command string) (string, bool) {
	best, found := "", false
	for prefix := range replies {
		if strings.HasPrefix(command+" ", prefix+" ") && len(prefix) >= len(best) {
			best, found = prefix, true
		}
	}
	return replies[best], found
}

// script answers from a table, and by itself what every server can.
func script(replies map[string]string) func(*fake, int, string) string {
	return func(f *fake, id int, command string) string {
		if reply, ok := first(replies, command); ok {
			return reply
		}
		switch {
		case strings.HasPrefix(command, "HELLO"):
			return "-ERR unknown command 'HELLO'\r\n"
		case command == "PING":
			return "+PONG\r\n"
		case strings.HasPrefix(command, "CLIENT SETNAME "):
			f.mu.Lock()
			f.names[id] = strings.TrimPrefix(command, "CLIENT SETNAME ")
			f.mu.Unlock()
			return "+OK\r\n"
		case command == "CLIENT ID":
			return fmt.Sprintf(":%d\r\n", id)
		case command == "CLIENT LIST":
			return bulk(f.clientList())
		case strings.HasPrefix(command, "COMMAND INFO"):
			return "*2\r\n*1\r\n$9\r\nreplicaof\r\n*1\r\n$7\r\nslaveof\r\n"
		case strings.HasPrefix(command, "INFO"):
			return bulk("# Server\r\nredis_version:7.0.0\r\n# Replication\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:1\r\nslave_repl_offset:5\r\n# Keyspace\r\n")
		}
		return "-ERR unknown command\r\n"
	}
}
