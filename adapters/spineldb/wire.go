package spineldb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

// errLost ends every use of a wire whose connection is gone. A wire is never
// dialled again: whoever holds it decides whether to open another one.
var errLost = errors.New("connection was lost")

// wire is exactly one TCP connection. A connection that is lost is not replaced
// behind our back: an order that was meant for one connection must not arrive
// on the next.
// One goroutine asks at a time; close may be called by any.
type wire struct {
	opts *Options
	tap  *tap
	// name is what CLIENT SETNAME last set on this connection, or is to be set
	// when it is first used.
	name string
	// up: we have logged in. Until then an error reply means that the login
	// failed, and the connection is of no use.
	up bool
	// ready: the connection has answered a question at least once.
	ready bool
	able  abilities
	// cut closes the connection.
	cut func()
}

// tap watches the raw connection: how much was written (could an order have
// left?), and whether we have closed it.
type tap struct {
	net.Conn
	words  map[string]string // see Options.Renames
	wrote  atomic.Int64
	closed atomic.Bool
}

func (t *tap) Write(p []byte) (int, error) {
	// Counted before the write: once it is tried, the bytes may have left.
	t.wrote.Add(int64(len(p)))
	return t.Conn.Write(p)
}

func (t *tap) Close() error {
	t.closed.Store(true)
	return t.Conn.Close()
}

// word is a command's name on the server, in lower case unless it is another.
// Operators may give commands other names (rename-command), as Sentinel's
// option of that name lets it know; appendCommand uses them.
func (t *tap) word(usual string) string {
	if to, ok := t.words[strings.ToUpper(usual)]; ok {
		return to
	}
	return strings.ToLower(usual)
}

// reply is one command's answer: a value or the error the server sent.
type reply struct {
	val any
	err error
}

// text is the reply as a string, "" when it is none.
func (r reply) text() string {
	s, _ := r.val.(string)
	return s
}

// keepAlive is when the system begins to ask whether a resting connection's
// other end is still there.
const keepAlive = 15 * time.Second

// dial opens a connection to node that is to be kept. The name is given to it
// when it is first used (empty: none), which is also when we log in.
func (a *Adapter) dial(ctx context.Context, node warden.NodeID, name string) (*wire, error) {
	return a.dialFor(ctx, node, name, keepAlive)
}

// dialFor is dial with another time for keep-alives; negative: none.
func (a *Adapter) dialFor(ctx context.Context, node warden.NodeID, name string, alive time.Duration) (*wire, error) {
	dialer := net.Dialer{Timeout: a.opts.DialTimeout, KeepAlive: alive}
	if a.opts.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: a.opts.Source}
	}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(node.Host(), node.Port()))
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", node, err)
	}
	if a.opts.TLS != nil {
		conn, err = secure(ctx, conn, a.opts.TLS, node)
		if err != nil {
			return nil, fmt.Errorf("dial %s: %w", node, err)
		}
	}
	w := &wire{opts: &a.opts, tap: &tap{Conn: conn, words: a.opts.Renames}, name: name}
	w.cut = func() { _ = w.tap.Close() }
	return w, nil
}

func secure(ctx context.Context, conn net.Conn, config *tls.Config, node warden.NodeID) (net.Conn, error) {
	config = config.Clone()
	if config.ServerName == "" {
		config.ServerName = node.Host()
	}
	t := tls.Client(conn, config)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("shake hands by TLS: %w", err)
	}
	return t, nil
}

// ask sends the commands in one write and reads every reply. The error is one
// of transport: what the server answered is in the replies. When ctx ends
// first the connection is closed, because replies that come later would be
// taken for answers to the next question.
func (w *wire) ask(ctx context.Context, commands ...[]any) ([]reply, error) {
	if w.tap.closed.Load() {
		return nil, errLost
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, w.cut)
	replies, err := w.enterAndAsk(commands)
	if !stop() {
		return nil, fmt.Errorf("wait for the answer: %w", context.Cause(ctx))
	}
	if err != nil {
		w.cut()
		return nil, err
	}
	w.ready = w.ready || len(replies) > 0
	return replies, nil
}

// enterAndAsk logs in where that was not done yet, and asks.
func (w *wire) enterAndAsk(commands [][]any) ([]reply, error) {
	if !w.up {
		if err := w.logIn(); err != nil {
			return nil, err
		}
		w.up = true
		if w.name != "" {
			// Where a server refuses the name, a node without a mark is better
			// than no node.
			if _, err := w.exchange([]any{"CLIENT", "SETNAME", w.name}); err != nil {
				return nil, err
			}
		}
	}
	if len(commands) == 0 {
		return nil, nil
	}
	return w.exchange(commands...)
}

// logIn shows the password. HELLO comes first, because a server without a
// password takes any; AUTH is for those that do not know it (before Redis 6).
func (w *wire) logIn() error {
	if w.opts.Password == "" {
		return nil
	}
	user := w.opts.User
	if user == "" {
		user = "default"
	}
	replies, err := w.exchange([]any{"HELLO", "2", "AUTH", user, w.opts.Password})
	if err != nil || replies[0].err == nil {
		return err
	}
	auth := []any{"AUTH", w.opts.Password}
	if w.opts.User != "" {
		auth = []any{"AUTH", w.opts.User, w.opts.Password}
	}
	if replies, err = w.exchange(auth); err != nil {
		return err
	}
	return replies[0].err
}

// exchange writes the commands and reads their replies.
func (w *wire) exchange(commands ...[]any) ([]reply, error) {
	r := borrow(w.tap)
	defer r.giveBack()
	out := r.room[:0]
	for _, c := range commands {
		out = appendCommand(out, w.tap.words, c)
	}
	if _, err := w.tap.Write(out); err != nil {
		// A server that turns us away says why before it closes.
		if first, failed := r.reply(); failed == nil && w.turnedAway(first) {
			return nil, first.err
		}
		return nil, err
	}
	replies := make([]reply, len(commands))
	for i := range replies {
		var err error
		if replies[i], err = r.reply(); err != nil {
			return nil, err
		}
		if i == 0 && w.turnedAway(replies[0]) {
			return nil, replies[0].err
		}
	}
	if r.rest() {
		// Whoever asks next would take it for an answer.
		w.cut()
	}
	return replies, nil
}

// turnedAway reports whether the first thing that a server says on a connection
// is that it does not want it. It hangs up then.
func (w *wire) turnedAway(first reply) bool {
	if w.ready || first.err == nil {
		return false
	}
	text := first.err.Error()
	return strings.HasPrefix(text, "DENIED ") || strings.Contains(text, "max number of clients")
}

// ended reports whether the server has already closed the connection, without
// sending anything. It costs at most a millisecond.
func (w *wire) ended() bool {
	if w.tap.closed.Load() {
		return true
	}
	if err := w.tap.Conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	var one [1]byte
	n, err := w.tap.Conn.Read(one[:])
	var timeout net.Error
	if n == 0 && errors.As(err, &timeout) && timeout.Timeout() {
		return w.tap.Conn.SetReadDeadline(time.Time{}) != nil
	}
	// Either the end, or a byte nobody asked for: both end the connection.
	w.tap.Close()
	return true
}

// local is the IP address of our end of the connection.
func (w *wire) local() string {
	host, _, err := net.SplitHostPort(w.tap.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// close ends the connection.
func (w *wire) close() {
	if w != nil {
		w.cut()
	}
}
