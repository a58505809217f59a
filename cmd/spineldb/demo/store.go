package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/warden"
)

// redisStore keeps each number under a key of its own, through an ordinary
// Sentinel client.
type redisStore struct{ client *redis.Client }

func newRedisStore(wardens []*child) redisStore {
	var addrs []string
	for _, w := range wardens {
		addrs = append(addrs, string(w.addr))
	}
	return redisStore{redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: groupName, SentinelAddrs: addrs, Protocol: 2, DisableIdentity: true,
		DialTimeout: time.Second, ReadTimeout: answerLimit, WriteTimeout: time.Second, ContextTimeoutEnabled: true,
		// Every failure is to be seen, so nothing is tried again unseen.
		MaxRetries: -1, DialerRetries: 1, PipelinePoolSize: -1,
		// After as many failed dials as the pool has room the client tries once
		// a second only, which would be measured instead of the failover.
		PoolSize: 1 << 16, MaxConcurrentDials: 4,
	})}
}

func keyOf(n int) string { return "demo:" + strconv.Itoa(n) }

func (s redisStore) close() { _ = s.client.Close() }

func (s redisStore) write(ctx context.Context, n int) (sent bool, err error) {
	err = s.client.Set(ctx, keyOf(n), n, 0).Err()
	return err != nil && wasSent(err), err
}

// wasSent reports whether a failed write may have arrived all the same: it was
// not refused, and not for want of a connection.
func wasSent(err error) bool {
	var operation *net.OpError
	return !remote.IsReply(err) && (!errors.As(err, &operation) || operation.Op != "dial")
}

func (s redisStore) find(ctx context.Context, numbers []int) (found int, err error) {
	keys := make([]string, len(numbers))
	for i, n := range numbers {
		keys[i] = keyOf(n)
	}
	values, err := s.client.MGet(ctx, keys...).Result()
	if err != nil {
		return 0, err
	}
	for i, v := range values {
		if v == strconv.Itoa(numbers[i]) {
			found++
		}
	}
	return found, nil
}

// postgresStore keeps each number in a row of its own. It asks the Wardens in
// turn for the primary whenever it has no session.
type postgresStore struct {
	wardens []*redis.SentinelClient
	next    int
	session *postgreslab.Session
}

// askLimit is how long it waits for a Warden or for a connection, and
// postgresLimit for the answer to a write: what stands still is left soon.
const (
	askLimit      = 100 * time.Millisecond
	postgresLimit = 250 * time.Millisecond
)

func newPostgresStore(wardens []*child) *postgresStore {
	s := &postgresStore{}
	for _, w := range wardens {
		s.wardens = append(s.wardens, redis.NewSentinelClient(&redis.Options{Addr: string(w.addr), Protocol: 2, DisableIdentity: true,
			MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true}))
	}
	return s
}

func (s *postgresStore) close() {
	s.drop()
	for _, w := range s.wardens {
		_ = w.Close()
	}
}

func (s *postgresStore) drop() {
	s.session.Close()
	s.session = nil
}

// connect opens a session with the primary that the next Warden names.
func (s *postgresStore) connect(ctx context.Context) error {
	if s.session != nil {
		return nil
	}
	w := s.wardens[s.next%len(s.wardens)]
	s.next++
	limit, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	parts, err := w.GetMasterAddrByName(limit, groupName).Result()
	if err != nil {
		return fmt.Errorf("ask a Warden: %w", err)
	}
	if len(parts) != 2 {
		return errors.New("ask a Warden: no primary is known")
	}
	addr, err := warden.ParseNode(net.JoinHostPort(parts[0], parts[1]))
	if err != nil {
		return fmt.Errorf("ask a Warden: %w", err)
	}
	dialing, stop := context.WithTimeout(ctx, askLimit)
	defer stop()
	s.session, err = postgreslab.Connect(dialing, addr, postgreslab.Client, "demo")
	return err
}

func (s *postgresStore) write(ctx context.Context, n int) (sent bool, err error) {
	if err := s.connect(ctx); err != nil {
		return false, err
	}
	limit, cancel := context.WithTimeout(ctx, postgresLimit)
	defer cancel()
	if _, err = s.session.Query(limit, "INSERT INTO records VALUES ("+strconv.Itoa(n)+")"); err != nil {
		s.drop()
		// A server that ends a session (class 57) does not say what became of
		// its last statement; every other error of a server is a refusal.
		state := postgreslab.State(err)
		return state == "" || strings.HasPrefix(state, "57"), err
	}
	return false, nil
}

func (s *postgresStore) find(ctx context.Context, numbers []int) (int, error) {
	if err := s.connect(ctx); err != nil {
		return 0, err
	}
	var list []string
	for _, n := range numbers {
		list = append(list, strconv.Itoa(n))
	}
	rows, err := s.session.Query(ctx, "SELECT count(DISTINCT id) FROM records WHERE id IN ("+strings.Join(append(list, "NULL"), ",")+")")
	if err != nil || len(rows) != 1 {
		s.drop()
		return 0, errors.Join(err, errors.New("the count did not come"))
	}
	return strconv.Atoi(rows[0])
}
