package postgreslab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/warden"
)

var errNoCancel = errors.New("no cancel requests are sent")

// Session is one connection of a client. When its patience ends it is simply
// gone: a cancel request would turn a commit that waits for standbys into an
// acknowledged one. One caller at a time.
type Session struct {
	Addr warden.NodeID
	conn *pgconn.PgConn
	raw  net.Conn
}

// Dial opens sockets; nil means the usual way.
type Dial = func(ctx context.Context, network, addr string) (net.Conn, error)

// Connect opens a session in the database postgres. The context bounds it.
func Connect(ctx context.Context, addr warden.NodeID, role, name string) (*Session, error) {
	return ConnectBy(ctx, nil, addr, role, name)
}

// ConnectBy is Connect with another way to open sockets.
func ConnectBy(ctx context.Context, dial Dial, addr warden.NodeID, role, name string) (*Session, error) {
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%s user=%s dbname=postgres sslmode=disable application_name=%s", addr.Host(), addr.Port(), role, name))
	if err != nil {
		return nil, fmt.Errorf("read connection options: %w", err)
	}
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	s := &Session{Addr: addr}
	var opened atomic.Bool
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if opened.Load() {
			return nil, errNoCancel
		}
		conn, err := dial(ctx, network, addr)
		s.raw = conn
		return conn, err
	}
	s.conn, err = pgconn.ConnectConfig(ctx, cfg)
	opened.Store(true)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return s, nil
}

// Query runs statements and returns the first column of the last one's rows.
// After an error that is no answer of the server the session is of no use.
func (s *Session) Query(ctx context.Context, sql string) ([]string, error) {
	results, err := s.conn.Exec(ctx, sql).ReadAll()
	if s.conn.IsClosed() {
		s.Close()
	}
	if err != nil || len(results) == 0 {
		return nil, err
	}
	var out []string
	for _, r := range results[len(results)-1].Rows {
		out = append(out, string(r[0]))
	}
	return out, nil
}

// Within is Query with a limit of its own.
func (s *Session) Within(limit time.Duration, sql string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return s.Query(ctx, sql)
}

// Close ends the connection without a word. Safe to call twice.
func (s *Session) Close() {
	if s != nil {
		_ = s.raw.SetDeadline(time.Now())
		_ = s.raw.Close()
	}
}

// State is the SQLSTATE of an error that a server sent, "" for others.
func State(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
