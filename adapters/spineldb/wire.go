package spineldb

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spineldb/warden/warden"
)

// bufferSize is the size of the read and the write buffer of a connection.
// There are many connections and the messages are small; what is larger (INFO,
// CLIENT LIST) is read past the buffer.
const bufferSize = 1 << 10

// errLost ends every use of a wire whose connection is gone. A wire is never
// dialled again: whoever holds it decides whether to open another one.
var errLost = errors.New("connection was lost")

// wire is exactly one TCP connection with a go-redis client on it. A
// connection that is lost is not replaced behind our back: an order that was
// meant for one connection must not arrive on the next.
// One goroutine asks at a time; close may be called by any.
type wire struct {
	client *redis.Client
	conn   *redis.Conn // of client, which has no other
	tap    *tap
	// name is what CLIENT SETNAME last set on this connection.
	name string
	// up: go-redis has logged in. Until then an error reply means that the
	// login failed, and the connection is of no use.
	up atomic.Bool
	// ready: the connection has answered a question at least once.
	ready bool
	able  abilities
	// owed is how many answers were not read that will come, to what was said
	// past go-redis; heeds: the last publication was not refused.
	owed  int
	heeds bool
}

// tap watches the raw connection: how much was written (could an order have
// left?), and how the server greeted us (a server that is full says so and
// hangs up).
type tap struct {
	net.Conn
	words  map[string]string // see Options.Renames
	mute   bool              // nothing is written: see ear
	wrote  atomic.Int64
	reads  limit
	writes limit
	mu     sync.Mutex
	heard  bool
	greet  string
	closed atomic.Bool
}

func (t *tap) Write(p []byte) (int, error) {
	if t.mute {
		return len(p), nil
	}
	return t.send(p)
}

// The deadlines of go-redis, which mostly takes one back that there is not.

func (t *tap) SetDeadline(at time.Time) error {
	return errors.Join(t.SetReadDeadline(at), t.SetWriteDeadline(at))
}

func (t *tap) SetReadDeadline(at time.Time) error {
	if t.reads.stays(at) {
		return nil
	}
	return t.Conn.SetReadDeadline(at)
}

func (t *tap) SetWriteDeadline(at time.Time) error {
	if t.writes.stays(at) {
		return nil
	}
	return t.Conn.SetWriteDeadline(at)
}

// limit remembers whether there is a deadline.
type limit struct{ set atomic.Bool }

// stays takes in a new deadline, and reports whether there is none as before.
func (l *limit) stays(at time.Time) bool {
	set := !at.IsZero()
	return !l.set.Swap(set) && !set
}

// push is Write for who writes past go-redis: a little, which does not block.
func (t *tap) push(p []byte) (int, error) {
	// The deadline of what go-redis wrote last may be over.
	if err := t.SetWriteDeadline(time.Time{}); err != nil {
		return 0, err
	}
	return t.send(p)
}

func (t *tap) send(p []byte) (int, error) {
	// Counted before the write: once it is tried, the bytes may have left.
	t.wrote.Add(int64(len(p)))
	if len(t.words) == 0 {
		return t.Conn.Write(p)
	}
	if _, err := t.Conn.Write(rename(p, t.words)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.mu.Lock()
		if !t.heard {
			t.heard = true
			if p[0] == '-' {
				t.greet, _, _ = strings.Cut(string(p[1:min(n, 200)]), "\r\n")
			}
		}
		t.mu.Unlock()
	}
	return n, err
}

func (t *tap) Close() error {
	t.closed.Store(true)
	return t.Conn.Close()
}

// greeting is the error with which the server began the connection, if any.
func (t *tap) greeting() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.greet
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

// connect opens a connection to node, on which nothing has been said.
func (a *Adapter) connect(ctx context.Context, node warden.NodeID) (net.Conn, error) {
	dialer := net.Dialer{Timeout: a.opts.DialTimeout, KeepAlive: 15 * time.Second}
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
	return conn, nil
}

// dial opens a connection to node. The name is given to it as soon as it
// stands (empty: none). Logging in happens with the first ask.
func (a *Adapter) dial(ctx context.Context, node warden.NodeID, name string) (*wire, error) {
	conn, err := a.connect(ctx, node)
	if err != nil {
		return nil, err
	}
	w := &wire{tap: &tap{Conn: conn, words: a.opts.Renames}, name: name}
	o := a.clientOptions(node)
	var taken atomic.Bool
	o.Dialer = func(context.Context, string, string) (net.Conn, error) {
		if taken.Swap(true) {
			return nil, errLost
		}
		return w.tap, nil
	}
	o.OnConnect = w.onConnect
	w.client = redis.NewClient(o)
	w.conn = w.client.EphemeralConn()
	return w, nil
}

// onConnect runs when go-redis has logged in. The name is not given by
// Options.ClientName: where a server refuses that, go-redis refuses the server,
// and a node without a mark is better than no node.
func (w *wire) onConnect(ctx context.Context, c *redis.Conn) error {
	if w.name != "" {
		if err := c.ClientSetName(ctx, w.name).Err(); err != nil && !isReply(err) {
			return err
		}
	}
	w.up.Store(true)
	return nil
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

// clientOptions switches everything off that go-redis does by itself: retries,
// pools, idle checks, introductions, protocol upgrades.
func (a *Adapter) clientOptions(node warden.NodeID) *redis.Options {
	size := bufferSize
	if len(a.opts.Renames) > 0 {
		// Commands are written whole, so that their first words can be told.
		size = 2*warden.MaxHello + bufferSize
	}
	return &redis.Options{
		Addr:     string(node),
		Protocol: 2,
		Username: a.opts.User,
		Password: a.opts.Password,

		MaxRetries:            -1,
		DialerRetries:         1,
		DialTimeout:           a.opts.DialTimeout,
		ReadTimeout:           -1, // none: every context has a deadline,
		WriteTimeout:          -1, // and it alone counts
		ContextTimeoutEnabled: true,

		PoolSize:         1,
		MaxActiveConns:   1,
		PipelinePoolSize: -1,
		ConnMaxIdleTime:  -1,
		ReadBufferSize:   bufferSize,
		WriteBufferSize:  size,
		DisableIdentity:  true,

		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
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
	stop := context.AfterFunc(ctx, func() { w.tap.Close() })
	pipe := w.conn.Pipeline()
	asked := make([]*redis.Cmd, len(commands))
	for i, c := range commands {
		asked[i] = pipe.Do(ctx, c...)
	}
	_, err := pipe.Exec(ctx)
	if !stop() {
		return nil, fmt.Errorf("wait for the answer: %w", context.Cause(ctx))
	}
	if !w.up.Load() {
		// The login failed and nothing was asked. go-redis then leaves the
		// commands without value and without error.
		w.tap.Close()
		if err == nil {
			err = errLost
		}
		return nil, w.explain(err)
	}
	replies := make([]reply, len(commands))
	for i, c := range asked {
		val, err := c.Result()
		if errors.Is(err, redis.Nil) {
			val, err = nil, nil
		}
		if err != nil && !isReply(err) {
			w.tap.Close()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("wait for the answer: %w", context.DeadlineExceeded)
			}
			return nil, w.explain(err)
		}
		replies[i] = reply{val, err}
	}
	w.ready = true
	return replies, nil
}

// settleLimit is how long answers that are owed may take. They were asked for a
// while ago, so they are there, unless the server is paused.
const settleLimit = 100 * time.Millisecond

// settle reads the answers that are owed, past go-redis as the questions were sent.
// The error is one of transport.
func (w *wire) settle(ctx context.Context) error {
	if w.owed == 0 {
		return nil
	}
	until := time.Now().Add(settleLimit)
	if end, ok := ctx.Deadline(); ok && end.Before(until) {
		until = end
	}
	refused, err := w.tap.skip(w.owed, until)
	w.owed = 0
	if refused {
		w.heeds = false // let Publish find out and tell
	}
	if err != nil {
		w.tap.Close()
	}
	return err
}

// skip reads so many answers of one line, and reports whether one was an error.
func (t *tap) skip(lines int, until time.Time) (refused bool, err error) {
	if err := t.SetReadDeadline(until); err != nil {
		return false, err
	}
	var room [256]byte
	for begins := true; lines > 0; {
		n, err := t.Conn.Read(room[:])
		for i, b := range room[:n] {
			refused = refused || begins && b == '-'
			if begins = b == '\n'; begins {
				lines--
			}
			if lines == 0 && i < n-1 {
				return refused, errLost // nobody asked for that
			}
		}
		if err != nil && lines > 0 {
			return refused, err
		}
	}
	return refused, t.SetReadDeadline(time.Time{})
}

// appendCommand writes a command as it is sent.
func appendCommand(to []byte, words []any) []byte {
	to = fmt.Appendf(to, "*%d\r\n", len(words))
	for _, word := range words {
		text := fmt.Sprint(word)
		to = fmt.Appendf(to, "$%d\r\n%s\r\n", len(text), text)
	}
	return to
}

// explain prefers what the server said before it hung up over how it hung up.
func (w *wire) explain(err error) error {
	if greet := w.tap.greeting(); greet != "" && !w.ready {
		if h := healthOfReply(greet); h == warden.HealthBusy || h == warden.HealthDenied {
			return replyError(greet)
		}
	}
	return err
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

// close ends the connection and the client on it.
func (w *wire) close() {
	if w == nil {
		return
	}
	w.tap.Close()
	_ = w.conn.Close() // these only repeat that the connection is closed
	_ = w.client.Close()
}
