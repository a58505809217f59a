package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/spineldb/warden/warden"
)

var (
	errClosed   = errors.New("link is closed")
	errNoCancel = errors.New("no cancel requests are sent")
)

// wire is one connection. One caller uses it at a time, but for close.
type wire struct {
	conn *pgconn.PgConn
	raw  net.Conn // below TLS
	// over: closed by us.
	over atomic.Bool

	// For looks; they belong to whoever looks.
	able     abilities
	lookText string
	past     struct { // the newest history file that was read
		timeline int64
		history  string
	}
	sealed bool // by this session, which ends when anybody else claims the node
}

// abilities is what was found out about server and role; asked again on every
// connection that needs it, because an address may get another server.
type abilities struct {
	probed  bool
	monitor bool // pg_monitor: without it most of what we look at is empty
	history bool // may read timeline history files
	files   bool // may see what ALTER SYSTEM has written
}

// dialing is what one connection is for.
type dialing struct {
	name   string // application_name
	onNote func(channel, payload string)
	// writes makes the session's transactions read-write whatever the node's
	// default, which a fence or hold changes. Order sessions see the default.
	writes bool
}

// dial opens a connection to node. The error never contains the password.
func (a *Adapter) dial(ctx context.Context, node warden.NodeID, d dialing) (*wire, error) {
	cfg, err := a.config(node)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.opts.DialTimeout)
	defer cancel()
	w := &wire{}
	var opened atomic.Bool
	dialer := net.Dialer{KeepAlive: 5 * time.Second}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if opened.Load() {
			return nil, errNoCancel // pgconn would send a cancel request
		}
		conn, err := dialer.DialContext(ctx, network, addr)
		w.raw = conn
		return conn, err
	}
	cfg.RuntimeParams = map[string]string{
		"application_name": d.name, "client_encoding": "UTF8", "search_path": "pg_catalog",
		"statement_timeout": "0", "lock_timeout": "0", "synchronous_commit": "local",
	}
	if d.writes {
		cfg.RuntimeParams["default_transaction_read_only"] = "off"
	}
	if d.onNote != nil {
		cfg.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { d.onNote(n.Channel, n.Payload) }
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	opened.Store(true)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", node, connectError{err})
	}
	w.conn = conn
	return w, nil
}

// connectError says of an error of pgconn only what nobody else says: the place is
// named by us, and with sslmode prefer the same may have happened twice.
type connectError struct{ error }

func (e connectError) Unwrap() error { return e.error }

func (e connectError) Error() string {
	return strings.Join(slices.Compact(causes(e.error)), "; ")
}

func causes(err error) (out []string) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range several.Unwrap() {
			out = append(out, causes(e)...)
		}
		return out
	}
	var whole *pgconn.ConnectError
	var network *net.OpError
	var server *pgconn.PgError
	switch {
	case errors.As(err, &whole) && errors.Unwrap(whole) != nil:
		return causes(errors.Unwrap(whole))
	case errors.As(err, &server):
		return []string{server.Error()}
	case errors.As(err, &network) && network.Op == "dial":
		return []string{network.Err.Error()}
	}
	text := err.Error()
	if _, tail, found := strings.Cut(text, "): "); found { // "address (name): "
		text = tail
	}
	return []string{text}
}

// config is how to reach node. What the options say beats the environment.
func (a *Adapter) config(node warden.NodeID) (*pgconn.Config, error) {
	o := a.opts
	words := []setting{{"host", node.Host()}, {"port", node.Port()}, {"dbname", o.Database}, {"sslmode", o.SSLMode}}
	for _, s := range []setting{{"user", o.User}, {"passfile", o.Passfile}, {"sslrootcert", o.SSLRootCert}, {"sslcert", o.SSLCert}, {"sslkey", o.SSLKey}} {
		if s.value != "" {
			words = append(words, s)
		}
	}
	cfg, err := pgconn.ParseConfig(conninfo(words).String()) // no password is in it
	if err != nil {
		return nil, fmt.Errorf("read connection options for %s: %w", node, err)
	}
	cfg.ValidateConnect, cfg.AfterConnect = nil, nil
	if o.Password != "" {
		cfg.Password = o.Password
	} else if o.PasswordFile != "" {
		text, err := os.ReadFile(o.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("read password file: %w", err)
		}
		cfg.Password, _, _ = strings.Cut(string(text), "\n")
		cfg.Password = strings.TrimSuffix(cfg.Password, "\r")
	}
	return cfg, nil
}

// close ends the connection at once. Safe to call at any time, also twice.
func (w *wire) close() {
	if w == nil || w.over.Swap(true) {
		return
	}
	_ = w.raw.SetWriteDeadline(time.Now()) // do not wait for a slow flush
	w.raw.Close()
}

// row is one row as text; nil is NULL.
type row [][]byte

func (r row) text(i int) string { return string(r[i]) }
func (r row) yes(i int) bool    { return string(r[i]) == "t" }
func (r row) number(i int) int64 {
	n, _ := strconv.ParseInt(string(r[i]), 10, 64)
	return n
}

// ask runs one statement. An error that is no answer of the server closes the
// connection, and everything that pgconn does behind it has ended on return.
func (w *wire) ask(ctx context.Context, sql string, args ...string) ([]row, error) {
	var params [][]byte
	for _, a := range args {
		params = append(params, []byte(a))
	}
	result := w.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if w.conn.IsClosed() {
		w.close()
		<-w.conn.CleanupDone() // at once: the socket is closed, and no cancel is sent
	}
	if result.Err != nil {
		return nil, result.Err
	}
	rows := make([]row, len(result.Rows))
	for i, r := range result.Rows {
		rows[i] = r
	}
	return rows, nil
}

// one runs a statement that answers with exactly one row.
func (w *wire) one(ctx context.Context, sql string, args ...string) (row, error) {
	rows, err := w.ask(ctx, sql, args...)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("the server answered with %d rows instead of one", len(rows))
	}
	if err != nil {
		return nil, err
	}
	return rows[0], nil
}

// ended reports whether the server has already ended the connection, without
// sending anything. Where nothing has arrived it costs nothing.
func (w *wire) ended() bool {
	for !w.over.Load() && !w.conn.IsClosed() && pending(w.raw) {
		ctx, cancel := context.WithTimeout(context.Background(), 250*time.Millisecond)
		_, err := w.conn.ReceiveMessage(ctx) // a changed parameter, a farewell, or the end
		cancel()
		if pgconn.Timeout(err) {
			break
		}
	}
	if w.conn.IsClosed() {
		w.close()
	}
	return w.over.Load()
}

// local is the IP address of our end of the connection.
func (w *wire) local() string {
	host, _, err := net.SplitHostPort(w.raw.LocalAddr().String())
	if err != nil {
		return ""
	}
	host, _, _ = strings.Cut(host, "%")
	return host
}

// leave sends statements, each a transaction of its own, and ends the
// connection without waiting: the server goes on with them by itself.
func (w *wire) leave(statements ...string) error {
	defer w.close()
	h, err := w.conn.Hijack()
	if err != nil {
		return err
	}
	for _, sql := range statements {
		h.Frontend.Send(&pgproto3.Parse{Query: sql})
		h.Frontend.Send(&pgproto3.Bind{})
		h.Frontend.Send(&pgproto3.Execute{})
		h.Frontend.Send(&pgproto3.Sync{})
	}
	if err := h.Conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	return h.Frontend.Flush()
}
