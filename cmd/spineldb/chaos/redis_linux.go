package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/cmd/spineldb/chaos/history"
	"github.com/spineldb/warden/cmd/spineldb/chaos/network"
	"github.com/spineldb/warden/warden"
)

const redisPort = 6379

// redisServer is one redis-server with a directory that survives restarts. What
// it has acknowledged is in its append-only file before, so a kill alone loses
// nothing.
type redisServer struct {
	process
	host *network.Host
	dir  string
}

func (s *redisServer) Name() string        { return s.host.Name }
func (s *redisServer) Addr() warden.NodeID { return warden.MakeNode(s.host.Addr.String(), redisPort) }
func (s *redisServer) remove() error       { return nil }

func (s *redisServer) Start() error {
	return s.start(nil, append(s.host.Prefix(), "redis-server", filepath.Join(s.dir, "redis.conf"))...)
}

// Wipe takes all data, but not the configuration, which names its primary.
func (s *redisServer) Wipe() string {
	var size int64
	for _, pattern := range []string{"appendonlydir/*", "*.rdb"} {
		files, _ := filepath.Glob(filepath.Join(s.dir, pattern))
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && os.Remove(f) == nil {
				size += info.Size()
			}
		}
	}
	if size == 0 {
		return ""
	}
	return fmt.Sprintf("%d bytes of its data removed", size)
}

// redisEngine is a group of redis-server.
type redisEngine struct{ options options }

func (redisEngine) close() error                { return nil }
func (redisEngine) whole(warden.GroupView) bool { return true }

// mend has nothing to do: a redis-server that does not start is a fault of ours.
func (redisEngine) mend(context.Context, server, server) string { return "does not start" }

func (redisEngine) open(_ context.Context, dir string, hosts []*network.Host) ([]server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("find redis-server: %w: install it", err)
	}
	var out []server
	for i, h := range hosts {
		s := &redisServer{host: h, dir: filepath.Join(dir, h.Name)}
		s.log = filepath.Join(s.dir, "log")
		lines := []string{
			"bind " + h.Addr.String(), fmt.Sprintf("port %d", redisPort), "dir " + s.dir, "protected-mode no", "daemonize no",
			`save ""`, "appendonly yes", "appendfsync no", "auto-aof-rewrite-percentage 0", "repl-diskless-sync-delay 0",
		}
		if i > 0 {
			lines = append(lines, fmt.Sprintf("replicaof %s %d", hosts[0].Addr, redisPort))
		}
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
		if err := os.WriteFile(filepath.Join(s.dir, "redis.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return nil, fmt.Errorf("write configuration: %w", err)
		}
		if err := s.Start(); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func (redisEngine) block(servers []server) string {
	var nodes []string
	for _, s := range servers {
		nodes = append(nodes, string(s.Addr()))
	}
	return fmt.Sprintf("[[masters]]\nname = %q\nip = %q\nport = %d\nnodes = [%s]\nquorum = 2\nwardens = 3\ndown_after = %q\nfailover_timeout = \"10s\"\nhello_interval = \"300ms\"\n",
		groupName, servers[0].Addr().Host(), redisPort, quoted(nodes), downAfter)
}

const (
	// redisClients write as fast as pace lets them, probers less often.
	redisClients = 3
	pace         = 5 * time.Millisecond
	probePace    = 50 * time.Millisecond
	// clientPatience is how long a client waits for an answer.
	clientPatience = time.Second
	// confirmEvery so many writes a client asks whether all replicas have them.
	confirmEvery = 10
)

// redisWriter writes tokens one after the other into one set.
type redisWriter struct {
	name  string
	host  *network.Host
	pace  time.Duration
	where func(ctx context.Context) (string, error)
	names map[string]string // of servers, by address

	record *record
	client *redis.Client
	addr   string
	// open are acknowledged on this connection and not yet known to be everywhere.
	open []*history.Write
}

func (redisEngine) clients(ctx context.Context, r *round) {
	names := map[string]string{}
	for _, s := range r.servers {
		names[string(s.Addr())] = s.Name()
	}
	var all sync.WaitGroup
	for i := range redisClients {
		w := &redisWriter{name: fmt.Sprintf("client-%d", i+1), host: r.hosts[actorClient], pace: pace, names: names, record: r.record, where: r.asks(i)}
		all.Go(func() { w.run(ctx) })
	}
	for _, s := range r.servers {
		w := &redisWriter{name: "prober-" + s.Name(), host: r.hosts[s.Name()], pace: probePace, names: names, record: r.record,
			where: func(context.Context) (string, error) { return string(s.Addr()), nil }}
		all.Go(func() { w.run(ctx) })
	}
	all.Wait()
}

// asks is how a client finds the primary: it asks one Warden after the other,
// from the client's host.
func (r *round) asks(next int) func(ctx context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		next++
		addr := fmt.Sprintf("%s:%d", r.hosts[wardenActors[next%len(wardenActors)]].Addr, wardenPort)
		c := newRedisClient(r.hosts[actorClient], addr)
		defer c.Close()
		ctx, cancel := context.WithTimeout(ctx, clientPatience)
		defer cancel()
		parts, err := c.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", groupName).StringSlice()
		if err != nil {
			return "", err
		}
		if len(parts) != 2 {
			return "", errors.New("no primary is known")
		}
		return parts[0] + ":" + parts[1], nil
	}
}

// newRedisClient is a client with one connection, and none after that: WAIT on
// another one would know nothing of the writes before.
func newRedisClient(h *network.Host, addr string) *redis.Client {
	var opened atomic.Bool
	once := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if opened.Swap(true) {
			return nil, errors.New("the one connection is gone")
		}
		return h.Dial(ctx, network, addr)
	}
	return redis.NewClient(&redis.Options{Addr: addr, Dialer: once, Protocol: 2, MaxRetries: -1, DialerRetries: 1, PoolSize: 1,
		DialTimeout: clientPatience, ReadTimeout: clientPatience, WriteTimeout: clientPatience, ContextTimeoutEnabled: true, DisableIdentity: true})
}

func (w *redisWriter) run(ctx context.Context) {
	beat := time.NewTicker(w.pace)
	defer beat.Stop()
	defer w.leave()
	for n := 1; ; n++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		if w.client == nil {
			addr, err := w.where(ctx)
			if err != nil || w.names[addr] == "" {
				continue
			}
			w.client, w.addr = newRedisClient(w.host, addr), addr
		}
		// What was begun is finished, so that the end comes between two writes.
		if !w.write(context.WithoutCancel(ctx), fmt.Sprintf("%s-%d", w.name, n)) {
			w.leave()
		} else if len(w.open) >= confirmEvery {
			w.confirm(context.WithoutCancel(ctx))
		}
	}
}

func (w *redisWriter) leave() {
	if w.client != nil {
		_ = w.client.Close() // the server is to be left in any case
	}
	w.client, w.open = nil, nil
}

// write writes a token and asks in the same transaction who it was that did it.
// It reports whether the connection is still good.
func (w *redisWriter) write(ctx context.Context, token string) bool {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	out := history.Write{Token: token, Sent: w.record.now()}
	var info *redis.StringCmd
	_, err := w.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.SAdd(ctx, w.name, token)
		info = p.Info(ctx, "replication")
		return nil
	})
	var said redis.Error
	switch {
	case err == nil:
		out.Outcome, out.Node, out.Tenure = history.Acknowledged, w.names[w.addr], field(info.Val(), "master_replid")
	case errors.As(err, &said):
		out.Outcome = history.Refused
	}
	kept := w.record.write(out)
	if err == nil {
		w.open = append(w.open, kept)
	}
	return err == nil
}

// confirm asks whether both replicas have what was written on this connection.
func (w *redisWriter) confirm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	// Pipelines have a connection of their own in this client, so this has to be
	// one, too.
	var answer *redis.Cmd
	_, err := w.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		answer = p.Do(ctx, "WAIT", 2, 100)
		return nil
	})
	n, _ := answer.Int() // 0 where err says why
	switch {
	case err != nil:
		w.leave()
	case n >= 2:
		w.record.confirm(w.open)
		w.open = nil
	case len(w.open) > 10*confirmEvery:
		w.open = nil // a replica is away; that they were not confirmed is enough
	}
}

// field is one line of INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && key == name {
			return value
		}
	}
	return ""
}

func (redisEngine) contents(ctx context.Context, r *round, s server) (there map[string]bool, tenure string, err error) {
	c := newRedisClient(r.hosts[s.Name()], string(s.Addr()))
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// In one pipeline, for which this client has its one connection.
	var info *redis.StringCmd
	var sets *redis.Cmd
	_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
		info = p.Info(ctx, "replication")
		sets = p.Eval(ctx, "local all = {} for _, k in ipairs(redis.call('KEYS', '*')) do for _, m in ipairs(redis.call('SMEMBERS', k)) do all[#all + 1] = m end end return all", nil)
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("read what %s has: %w", s.Name(), err)
	}
	members, err := sets.StringSlice()
	if err != nil {
		return nil, "", fmt.Errorf("read what %s has: %w", s.Name(), err)
	}
	there = map[string]bool{}
	for _, m := range members {
		there[m] = true
	}
	return there, field(info.Val(), "master_replid"), nil
}

func (e redisEngine) judge(_ context.Context, r *round, _ server, there map[string]bool, tenure string) (judgement, error) {
	if e.options.demand {
		return judgeQuorum(r.record, there, nil), nil
	}
	return judgeAsync(r.record, there, tenure), nil
}
