package rest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// Options configure a Server. Only Directory is required; a zero stands for
// the default named at each field.
type Options struct {
	// Directory is what is shown and where orders go.
	Directory warden.Directory
	// Log returns up to limit kept events after the number since, the oldest
	// first, and the numbers of the oldest and the newest that are kept. It must
	// not wait. Default none: GET /events answers 501.
	Log func(since int64, limit int) (events []warden.EventRecord, first, last int64)
	// Process tells the numbers of this process's events from those of the one
	// before: letters and digits. Default "0".
	Process string
	// Resume is the number after which a reader goes on whose last event had the
	// number seq in an earlier process, by its name. It must not wait. Default 0,
	// always: the reader gets all that are kept.
	Resume func(process string, seq int64) int64
	// Reports are the kept reports of a group, the oldest first. It may wait for a
	// disk. Default none: GET /reports answers 501.
	Reports func(warden.GroupName) ([]warden.Report, error)
	// Token is what those who change something show. Default none: nobody may.
	Token string
	// Extra are further things to GET, by path.
	Extra map[string]http.Handler
	// Nearest is the known word that an unknown one was probably meant to be, ""
	// when none is near. Default: no guess.
	Nearest func(word string, known []string) string
	// Logger gets one line per order. Default: none.
	Logger *slog.Logger
	// MaxConnections are served at once. Default 1,000.
	MaxConnections int
	// MaxStreams is how many of them may read events. Default 100.
	MaxStreams int
	// RequestTimeout is how long a request may take to arrive, and its answer to
	// leave. Default 10 s.
	RequestTimeout time.Duration
	// IdleTimeout ends a kept connection that asks nothing. Default 2 min.
	IdleTimeout time.Duration
	// OrderTimeout bounds an order. Default 10 s. One that waits for a change to
	// finish gets the group's failover timeout on top.
	OrderTimeout time.Duration
	// StreamBeat is the longest silence of a stream of events. Default 15 s.
	StreamBeat time.Duration
}

func (o Options) withDefaults() Options {
	o.Process = cmp.Or(o.Process, "0")
	if o.Resume == nil {
		o.Resume = func(string, int64) int64 { return 0 }
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Nearest == nil {
		o.Nearest = func(string, []string) string { return "" }
	}
	o.MaxConnections = cmp.Or(o.MaxConnections, 1000)
	o.MaxStreams = cmp.Or(o.MaxStreams, 100)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.OrderTimeout = cmp.Or(o.OrderTimeout, 10*time.Second)
	o.StreamBeat = cmp.Or(o.StreamBeat, 15*time.Second)
	return o
}

// Server answers HTTP. All its methods are safe for concurrent use.
type Server struct {
	options Options
	dir     warden.Directory
	log     *slog.Logger
	token   [sha256.Size]byte
	began   warden.Instant
	scenes  sync.Map // warden.GroupName -> *stage
	bell    bell
	streams chan struct{} // a place for each

	http http.Server
	wg   sync.WaitGroup

	mu        sync.Mutex
	ended     bool
	listeners []net.Listener
}

// New makes a server that listens nowhere yet.
func New(o Options) (*Server, error) {
	if o.Directory == nil {
		return nil, errors.New("create HTTP server: no directory: set Options.Directory")
	}
	if min(o.MaxConnections, o.MaxStreams) < 0 || min(o.RequestTimeout, o.IdleTimeout, o.OrderTimeout, o.StreamBeat) < 0 {
		return nil, errors.New("create HTTP server: a bound is negative: leave it 0 for the default")
	}
	o = o.withDefaults()
	s := &Server{
		options: o, dir: o.Directory, log: o.Logger, token: sha256.Sum256([]byte(o.Token)),
		began: o.Directory.Now(), streams: make(chan struct{}, o.MaxStreams),
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.serve),
		ReadHeaderTimeout: o.RequestTimeout, ReadTimeout: o.RequestTimeout, WriteTimeout: o.RequestTimeout, IdleTimeout: o.IdleTimeout,
		MaxHeaderBytes: maxHeader,
		ErrorLog:       stdlog.New(complaints{o.Logger}, "", 0),
		BaseContext:    func(net.Listener) context.Context { return ctx },
	}
	// Streams and orders would keep a shutdown waiting.
	s.http.RegisterOnShutdown(cancel)
	return s, nil
}

// complaints are what net/http has to say. Most of it is about clients, who can
// make it say that as often as they like; a panic is our own mistake.
type complaints struct{ log *slog.Logger }

// Write logs one complaint.
func (c complaints) Write(text []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(text, []byte("http: panic")) {
		level = slog.LevelError
	}
	c.log.Log(context.Background(), level, strings.TrimSpace(string(text)))
	return len(text), nil
}

const (
	maxHeader = 8 << 10  // bytes of a request before its body
	maxBody   = 64 << 10 // bytes
)

// Serve serves an open listener in the background and returns at once: by TLS
// where secure is not nil. It may be called several times. The server closes l.
func (s *Server) Serve(l net.Listener, secure *tls.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		_ = l.Close()
		return fmt.Errorf("serve HTTP on %s: the server was shut down", l.Addr())
	}
	s.listeners = append(s.listeners, l)
	bound := newBounded(l, s.options.MaxConnections)
	if secure != nil {
		bound = tls.NewListener(bound, secure)
	}
	s.wg.Go(func() {
		if err := s.http.Serve(bound); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("HTTP listener closed", "addr", l.Addr().String(), "error", err)
		}
	})
	return nil
}

// Addr is the address of the first listener, nil before Serve.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) == 0 {
		return nil
	}
	return s.listeners[0].Addr()
}

// Shutdown stops listening, ends streams and orders, lets answers that are
// ready leave, and closes all connections. When ctx ends first, connections are
// cut and an error says so.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down HTTP server: %w", err), s.http.Close())
	}
	s.wg.Wait()
	return err
}

// bounded closes connections beyond a number at once, so that a flood of them
// takes no memory.
type bounded struct {
	net.Listener
	places chan struct{}
}

func newBounded(l net.Listener, most int) net.Listener {
	return bounded{l, make(chan struct{}, most)}
}

// Accept returns the next connection there is a place for.
func (b bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.places <- struct{}{}:
			return &placed{Conn: c, leave: sync.OnceFunc(func() { <-b.places })}, nil
		default:
			_ = c.Close()
		}
	}
}

// placed is a connection that gives its place back when it is closed.
type placed struct {
	net.Conn
	leave func()
}

// Close closes the connection.
func (p *placed) Close() error {
	p.leave()
	return p.Conn.Close()
}
