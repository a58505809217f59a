package neighbour

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// lineLife is for how long a connection to a Sentinel is kept after the last
// question. Questions come every second, while there are any.
const lineLife = 15 * time.Second

var errAnswer = errors.New("the answer is not [number, text, number]")

// Answer is what a Sentinel answers to SENTINEL IS-MASTER-DOWN-BY-ADDR.
type Answer struct {
	// Down: it holds the primary for subjectively down.
	Down bool
	// Leader is the id that it voted for in Epoch, empty for nobody.
	Leader string
	Epoch  uint64
}

// LinesOptions are what Lines need. All may be left out.
type LinesOptions struct {
	// ID is that of this Warden. Connections are named for it, as Sentinels
	// name theirs.
	ID string
	// Credentials are what Sentinels log in to each other with; no password: they
	// do not. Others than before end the connections that have the old ones.
	Credentials func() (user, password string)
	// TLS is used for every connection when it is set. An empty ServerName is
	// replaced by the host of each Sentinel.
	TLS *tls.Config
	// Source is the address that connections come from; nil: what the system
	// chooses.
	Source net.IP
}

// Lines are connections to real Sentinels, made when one is asked and ended
// when it was asked nothing for a while. Safe for concurrent use. Make them with
// NewLines.
type Lines struct {
	o LinesOptions

	mu     sync.Mutex
	open   map[warden.NodeID]*line
	closed bool
}

// line is the connection to one Sentinel.
type line struct {
	client         *redis.Client
	user, password string
	quiet          *time.Timer
}

// NewLines opens nothing yet.
func NewLines(o LinesOptions) *Lines {
	if o.Credentials == nil {
		o.Credentials = func() (string, string) { return "", "" }
	}
	return &Lines{o: o, open: map[warden.NodeID]*line{}}
}

// Ask asks the Sentinel at an address whether the primary at another one is
// down. It asks for no vote. It waits until ctx ends at the longest.
func (l *Lines) Ask(ctx context.Context, sentinel, primary warden.NodeID, epoch uint64) (Answer, error) {
	client := l.to(sentinel)
	if client == nil {
		return Answer{}, fmt.Errorf("ask the Sentinel at %s: this Warden ends", sentinel)
	}
	reply, err := client.Do(ctx, "SENTINEL", "is-master-down-by-addr", primary.Host(), primary.Port(), strconv.FormatUint(epoch, 10), nobody).Slice()
	if err != nil {
		return Answer{}, fmt.Errorf("ask the Sentinel at %s: %w", sentinel, err)
	}
	a, err := readAnswer(reply)
	if err != nil {
		return Answer{}, fmt.Errorf("ask the Sentinel at %s: %w", sentinel, err)
	}
	return a, nil
}

// readAnswer takes the one shape that Sentinels take, too.
func readAnswer(reply []any) (Answer, error) {
	if len(reply) != 3 {
		return Answer{}, errAnswer
	}
	down, isNumber := reply[0].(int64)
	leader, isText := reply[1].(string)
	epoch, isEpoch := reply[2].(int64)
	if !isNumber || !isText || !isEpoch {
		return Answer{}, errAnswer
	}
	a := Answer{Down: down == 1}
	if isID(leader) && epoch >= 0 {
		a.Leader, a.Epoch = leader, uint64(epoch)
	}
	return a, nil
}

// to is the client of one Sentinel, nil after Close.
func (l *Lines) to(sentinel warden.NodeID) *redis.Client {
	user, password := l.o.Credentials()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	have := l.open[sentinel]
	if have != nil && have.user == user && have.password == password {
		have.quiet.Reset(lineLife)
		return have.client
	}
	if have != nil {
		have.end()
	}
	fresh := &line{user: user, password: password, client: redis.NewClient(l.options(sentinel, user, password))}
	fresh.quiet = time.AfterFunc(lineLife, func() { l.hangUp(sentinel, fresh) })
	l.open[sentinel] = fresh
	return fresh.client
}

// options let go-redis do nothing by itself: who is not answered asks again in
// the next round.
func (l *Lines) options(sentinel warden.NodeID, user, password string) *redis.Options {
	o := &redis.Options{
		Addr: string(sentinel), Username: user, Password: password, Protocol: 2, DisableIdentity: true,
		MaxRetries: -1, DialerRetries: 1, PoolSize: 2, ContextTimeoutEnabled: true,
		DialTimeout: askLimit, ReadTimeout: askLimit, WriteTimeout: askLimit, Dialer: l.dial,
	}
	if len(l.o.ID) >= 8 {
		o.ClientName = "sentinel-" + l.o.ID[:8] + "-cmd"
	}
	return o
}

func (l *Lines) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: askLimit}
	if l.o.Source != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: l.o.Source}
	}
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil || l.o.TLS == nil {
		return conn, err
	}
	config := l.o.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = warden.NodeID(addr).Host()
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("shake hands by TLS with %s: %w", addr, err)
	}
	return secure, nil
}

// hangUp ends a line, unless another has taken its place.
func (l *Lines) hangUp(sentinel warden.NodeID, gone *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[sentinel] == gone {
		delete(l.open, sentinel)
		gone.end()
	}
}

func (l *line) end() {
	l.quiet.Stop()
	_ = l.client.Close() // nothing is left to be said
}

// Close ends all lines. A question under way fails.
func (l *Lines) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for sentinel, gone := range l.open {
		delete(l.open, sentinel)
		gone.end()
	}
}
