package embeddednode

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

const (
	// ackEvery is how often a replica tells how far it is.
	ackEvery = 100 * time.Millisecond
	// reconnectAfter is the pause before a lost upstream is tried again.
	reconnectAfter = 100 * time.Millisecond
	// handshakeTimeout bounds connecting and each answer before the stream.
	handshakeTimeout = 5 * time.Second
	// maxSnapshot bounds a full copy, in bytes.
	maxSnapshot = 1 << 30
)

// following is one go at following one upstream. It ends with its ctx; Node
// forgets it then, and nothing it still receives is taken.
type following struct {
	node     *Node
	upstream warden.NodeID
	ctx      context.Context
}

// startFollowing begins to follow n.repl.upstream. n.mu must be held.
func (n *Node) startFollowing() {
	ctx, cancel := context.WithCancel(n.ctx)
	n.repl.stop = cancel
	f := &following{node: n, upstream: n.repl.upstream, ctx: ctx}
	n.work.Go(f.run)
}

// stopFollowing ends it. n.mu must be held.
func (n *Node) stopFollowing() {
	if n.repl.stop != nil {
		n.repl.stop()
		n.repl.stop = nil
	}
	n.repl.linkUp, n.repl.syncing, n.repl.linkDown = false, false, time.Time{}
}

func (f *following) run() {
	for f.ctx.Err() == nil {
		_ = f.once() // why the link is down shows at the other end
		f.locked(func(r *replication) {
			if r.linkUp {
				r.linkDown = time.Now()
			}
			r.linkUp, r.syncing = false, false
		})
		wait := time.NewTimer(reconnectAfter)
		select {
		case <-f.ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}

// locked runs do under the node's lock, unless this following has ended.
func (f *following) locked(do func(r *replication)) bool {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if f.ctx.Err() != nil {
		return false
	}
	do(&f.node.repl)
	return true
}

// once connects, gets a partial or a full copy and reads the stream.
func (f *following) once() error {
	dialer := net.Dialer{Timeout: handshakeTimeout}
	conn, err := dialer.DialContext(f.ctx, "tcp", string(f.upstream))
	if err != nil {
		return fmt.Errorf("dial upstream: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(f.ctx, func() { conn.Close() })()
	r := bufio.NewReaderSize(conn, lineSize)
	if err := f.handshake(conn, r); err != nil {
		return fmt.Errorf("ask upstream for a copy: %w", err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	ended := make(chan struct{})
	f.node.work.Go(func() { f.acknowledge(conn, ended) })
	defer close(ended)
	return f.stream(r)
}

func (f *following) handshake(conn net.Conn, r *bufio.Reader) error {
	if err := conn.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write(appendCommand(nil, "REPLCONF", "listening-port", f.node.node.Port())); err != nil {
		return err
	}
	if line, err := readLine(r); err != nil || line != "+OK" {
		return fmt.Errorf("answer %q: %w", line, errors.Join(err, errProtocol))
	}
	var id, next string
	f.locked(func(r *replication) { id, next = r.id, strconv.FormatInt(r.offset+1, 10) })
	if _, err := conn.Write(appendCommand(nil, "PSYNC", id, next)); err != nil {
		return err
	}
	line, err := readLine(r)
	if err != nil {
		return err
	}
	words := strings.Fields(line)
	switch {
	case len(words) == 2 && words[0] == "+CONTINUE":
		return f.goOn(words[1])
	case len(words) == 3 && words[0] == "+FULLRESYNC":
		return f.copyAll(r, words[1], words[2])
	}
	return fmt.Errorf("answer %q: %w", line, errProtocol)
}

// goOn takes the upstream's history over where it is a later one than ours.
func (f *following) goOn(id string) error {
	ok := f.locked(func(r *replication) {
		if id != r.id {
			r.secondID, r.secondOffset = r.id, r.offset+1
			r.id = id
			f.node.dropReplicas()
		}
		r.linkUp, r.linkDown = true, time.Time{}
		f.node.unsaved = true
	})
	if !ok {
		return f.ctx.Err()
	}
	return nil
}

// copyAll replaces the data by the upstream's.
func (f *following) copyAll(r *bufio.Reader, id, at string) error {
	offset, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return errProtocol
	}
	f.locked(func(r *replication) { r.syncing = true })
	line, err := readLine(r)
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(strings.TrimPrefix(line, "$"))
	if err != nil || size < 0 || size > maxSnapshot {
		return errProtocol
	}
	snapshot := make([]byte, size)
	if _, err := io.ReadFull(r, snapshot); err != nil {
		return fmt.Errorf("read snapshot: %w", err)
	}
	err = f.ctx.Err()
	f.locked(func(r *replication) {
		if err = f.node.engine.restore(snapshot); err != nil {
			return
		}
		r.id, r.secondID, r.secondOffset = id, "", -1
		r.offset, r.backlog = offset, nil
		r.syncing, r.linkUp, r.linkDown = false, true, time.Time{}
		f.node.dropReplicas()
		f.node.unsaved = true
	})
	return err
}

// stream applies what the upstream sends.
func (f *following) stream(r *bufio.Reader) error {
	for {
		args, err := readCommand(r)
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		if len(args) == 0 || !writes[strings.ToUpper(args[0])] {
			return fmt.Errorf("read the stream: %w", errProtocol)
		}
		taken := f.locked(func(*replication) {
			f.node.engine.do(args)
			f.node.feed(appendCommand(nil, args...))
		})
		if !taken {
			return f.ctx.Err()
		}
	}
}

// acknowledge tells the upstream how far this replica is.
func (f *following) acknowledge(conn net.Conn, ended <-chan struct{}) {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	for {
		var offset int64
		if !f.locked(func(r *replication) { offset = r.offset }) {
			return
		}
		if _, err := conn.Write(appendCommand(nil, "REPLCONF", "ACK", strconv.FormatInt(offset, 10))); err != nil {
			return
		}
		select {
		case <-ended:
			return
		case <-tick.C:
		}
	}
}
