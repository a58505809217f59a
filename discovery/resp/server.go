package resp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/warden"
)

// Options configure a Server. Only Directory is required; a zero stands for
// the default named at each field.
type Options struct {
	// Addr is the host:port that Start listens on. Default 127.0.0.1:26379.
	Addr string
	// Password that clients must give by AUTH or HELLO; empty: none. The only
	// user is "default".
	Password string
	// Access is the users and what each may do; Password is not used then.
	// Default none: everybody who gives the password may do everything.
	Access Access
	// Directory is what is shown and where commands go.
	Directory warden.Directory
	// Steward changes the configuration for SENTINEL SET, MONITOR and the like.
	// Default none: they answer an error.
	Steward Steward
	// Neighbours answers real Sentinels. Default none: they are told what the
	// Directory shows, and never get a vote.
	Neighbours Neighbours
	// History is how many of the last events are remembered. Default 4,096. Past
	// are those of earlier runs, numbered without gaps, the oldest first: the
	// numbers go on after them.
	History int
	Past    []warden.EventRecord
	// Keep is told of every event, in their order. It must not block. Default: nobody.
	Keep func(warden.EventRecord)
	// Facts is what this process tells of itself and its machine, to be encoded as
	// JSON. It must not wait. Default none: WARDEN FACTS answers an error.
	Facts func() any
	// Reports are the kept reports of a group, the oldest first. It may wait for a
	// disk. Default none: WARDEN REPORTS is an error.
	Reports func(warden.GroupName) ([]warden.Report, error)
	// Logger gets one line per refused or cut client. Default: none.
	Logger *slog.Logger
	// Version is that of this program, RedisVersion the one whose protocol it
	// claims to speak (default 7.2.4); clients decide by the latter.
	Version      string
	RedisVersion string
	// Renames are the commands that clients know under other names, made in this
	// order.
	Renames []Rename
	// ConfigFile is the path INFO shows. It is not opened.
	ConfigFile string
	// MaxClients is how many connections are served at once. Default 10,000.
	MaxClients int
	// IdleTimeout ends a connection that asks nothing and is subscribed to
	// nothing. Default 0: never.
	IdleTimeout time.Duration
	// AuthTimeout is how long a connection may live without having given the
	// password. Default 30 s.
	AuthTimeout time.Duration
	// HandshakeTimeout is how long a TLS handshake may take (see Serve). Default 10 s.
	HandshakeTimeout time.Duration
	// RequestTimeout is how long a request may take to arrive. Default 30 s.
	RequestTimeout time.Duration
	// WriteTimeout is how long 64 KiB of answers may take to leave. Default 10 s.
	WriteTimeout time.Duration
	// CommandTimeout bounds an operator's command. Default 10 s. One that waits
	// for a failover to finish gets the group's failover timeout on top.
	CommandTimeout time.Duration
	// QueueBytes and QueueEntries bound what waits to be sent to one client.
	// Default 8 MiB and 32,768.
	QueueBytes   int
	QueueEntries int
	// QueueBytesTotal bounds it for all clients together; beyond it each has
	// 64 KiB left. Default 256 MiB.
	QueueBytesTotal int64

	noLobby bool // for tests
}

func (o Options) withDefaults() Options {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:26379")
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	o.Version = cmp.Or(o.Version, "unknown")
	o.RedisVersion = cmp.Or(o.RedisVersion, "7.2.4")
	o.History = cmp.Or(o.History, 4096)
	if o.Keep == nil {
		o.Keep = func(warden.EventRecord) {}
	}
	o.MaxClients = cmp.Or(o.MaxClients, 10_000)
	o.AuthTimeout = cmp.Or(o.AuthTimeout, 30*time.Second)
	o.HandshakeTimeout = cmp.Or(o.HandshakeTimeout, 10*time.Second)
	o.RequestTimeout = cmp.Or(o.RequestTimeout, 30*time.Second)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 10*time.Second)
	o.CommandTimeout = cmp.Or(o.CommandTimeout, 10*time.Second)
	o.QueueBytes = cmp.Or(o.QueueBytes, 8<<20)
	o.QueueEntries = cmp.Or(o.QueueEntries, 32<<10)
	o.QueueBytesTotal = cmp.Or(o.QueueBytesTotal, 256<<20)
	return o
}

func (o Options) validate() error {
	if o.Directory == nil {
		return errors.New("create RESP server: no directory: set Options.Directory")
	}
	if o.MaxClients < 0 || o.History < 0 || o.QueueBytes < 0 || o.QueueEntries < 0 || o.QueueBytesTotal < 0 {
		return errors.New("create RESP server: a bound is negative: leave it 0 for the default")
	}
	if min(o.IdleTimeout, o.AuthTimeout, o.HandshakeTimeout, o.RequestTimeout, o.WriteTimeout, o.CommandTimeout) < 0 {
		return errors.New("create RESP server: a timeout is negative: leave it 0 for the default")
	}
	return nil
}

// Server answers clients. All its methods are safe for concurrent use.
type Server struct {
	options  Options
	log      *slog.Logger
	dir      warden.Directory
	password [sha256.Size]byte
	table    commandTable
	hub      *hub
	pause    pause
	links    links
	rate     rate
	started  time.Time
	stats    counters
	queued   atomic.Int64
	lastID   atomic.Int64
	// refusalLogged is the time of the last such line, in Unix milliseconds.
	refusalLogged atomic.Int64
	// failureLogged is the same for logins; loginFailures counts all.
	failureLogged, loginFailures atomic.Int64
	// attackLogged is the same for requests of HTTP.
	attackLogged atomic.Int64

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	lobby *lobby // nil: none; set before the first client is served

	mu        sync.Mutex
	listeners []net.Listener
	clients   map[*client]struct{}
}

// counters are for INFO.
type counters struct {
	connections, commands, rejected, errors, cut atomic.Int64
}

// New makes a server that does not listen yet. Publish works from now on.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	table, err := newCommandTable().renamed(o.Renames)
	if err != nil {
		return nil, err
	}
	s := &Server{
		options: o, log: o.Logger, dir: o.Directory,
		password: sha256.Sum256([]byte(o.Password)),
		table:    table,
		hub:      newHub(o),
		started:  time.Now(),
		clients:  map[*client]struct{}{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Start listens on Options.Addr and serves in the background. It returns when
// the port is open. ctx bounds the opening only; Shutdown ends the serving.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.options.Addr)
	if err != nil {
		return fmt.Errorf("listen for clients on %s: %w (is another process using the port?)", s.options.Addr, err)
	}
	return s.Serve(l)
}

// Serve serves an open listener in the background and returns at once. It may
// be called several times, for several addresses. The server closes l. One made
// by tls.NewListener serves clients by TLS: handshakes are made beside one
// another, each within HandshakeTimeout.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		_ = l.Close()
		return fmt.Errorf("serve clients on %s: the server was shut down", l.Addr())
	}
	if len(s.listeners) == 0 && !s.options.noLobby {
		s.openLobby()
	}
	s.listeners = append(s.listeners, l)
	s.wg.Go(func() { s.accept(l) })
	return nil
}

// openLobby opens the lobby where there can be one. All works without it, only
// not as fast.
func (s *Server) openLobby() {
	l, err := newLobby(s)
	if err != nil {
		s.log.Debug("no lobby for clients", "error", err)
		return
	}
	s.lobby = l
	s.wg.Go(l.run)
}

// Addr is the address of the first listener, nil before Start.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) == 0 {
		return nil
	}
	return s.listeners[0].Addr()
}

// Shutdown stops listening, ends running commands, lets answers that are ready
// leave, and closes all connections. When ctx ends first, connections are cut.
// It returns when no goroutine of the server is left; an error says that some
// still are, because a Directory ignored its context.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.cancel()
	for _, l := range s.listeners {
		_ = l.Close()
	}
	for c := range s.clients {
		_ = c.conn.SetReadDeadline(time.Now())
	}
	if s.lobby != nil {
		s.lobby.end()
	}
	s.mu.Unlock()

	gone := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.clients {
		c.cut("")
	}
	s.mu.Unlock()
	select {
	case <-gone:
		return nil
	case <-time.After(time.Second):
		return fmt.Errorf("shut down RESP server: a command is still running: %w", ctx.Err())
	}
}

func (s *Server) accept(l net.Listener) {
	var pause time.Duration
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			s.admit(conn)
			continue
		}
		if s.ctx.Err() != nil {
			return
		}
		if errors.Is(err, net.ErrClosed) {
			s.log.Error("listener closed", "addr", l.Addr().String())
			return
		}
		// Out of file descriptors, mostly: go on when there are some again.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log.Warn("accept failed", "addr", l.Addr().String(), "error", err, "retry_in", pause)
		select {
		case <-time.After(pause):
		case <-s.ctx.Done():
			return
		}
	}
}

// admit starts serving a connection, or turns it away.
func (s *Server) admit(conn net.Conn) {
	s.stats.connections.Add(1)
	s.mu.Lock()
	if s.ctx.Err() != nil {
		s.mu.Unlock()
		_ = conn.Close()
		return
	}
	if len(s.clients) >= s.options.MaxClients {
		s.mu.Unlock()
		s.stats.rejected.Add(1)
		turnAway(conn)
		s.refused(conn)
		return
	}
	c := s.newClient(conn, s.lastID.Add(1))
	s.clients[c] = struct{}{}
	s.wg.Go(func() {
		c.serve()
		s.mu.Lock()
		delete(s.clients, c)
		s.mu.Unlock()
	})
	s.mu.Unlock()
}

// refused logs that the server is full, at most once a second.
func (s *Server) refused(conn net.Conn) {
	now := time.Now().UnixMilli()
	if last := s.refusalLogged.Load(); now-last < 1000 || !s.refusalLogged.CompareAndSwap(last, now) {
		return
	}
	s.log.Warn("client refused", "client", conn.RemoteAddr().String(),
		"max_clients", s.options.MaxClients, "refused_so_far", s.stats.rejected.Load())
}

// passwordIs compares in constant time, and independent of the length.
func (s *Server) passwordIs(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], s.password[:]) == 1
}
