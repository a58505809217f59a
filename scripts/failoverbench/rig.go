package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/duration"
)

// The systems.
const (
	ours     = "warden"
	sentinel = "sentinel"
)

const (
	groupName    = "bench"
	monitorCount = 3
	nodeCount    = 3
	setupLimit   = 40 * time.Second
	setupTries   = 3
	pollEvery    = 20 * time.Millisecond
	askLimit     = time.Second // of calm questions, not of measured ones
	// calm passes after everything is ready and before the fault, plus up to
	// a second by lot: both systems look at the primary at fixed intervals,
	// and the fault must not always fall into the same place of them.
	calm       = 2 * time.Second
	calmSpread = time.Second
)

// process is a child with the address it serves.
type process struct {
	*child
	addr string
	port int
}

// rig is what one trial runs on: nodes[0] is the primary.
type rig struct {
	b        *bench
	system   string
	crash    time.Duration // crash_after of our system; 0: not set
	dir      string
	nodes    []*process
	monitors []*process
	gossip   []int
	web      []int // ports for HTTP of our system
}

// trial sets up a rig, runs do on it and takes it down. A rig that cannot be
// set up is tried again; what do says is final.
func (b *bench) trial(ctx context.Context, system string, crash time.Duration, do func(context.Context, *rig) error) error {
	var errs []error
	for range setupTries {
		r := &rig{b: b, system: system, crash: crash}
		err := r.setUp(ctx)
		if err == nil {
			err = do(ctx, r)
			return errors.Join(err, r.takeDown(err != nil))
		}
		errs = append(errs, err, r.takeDown(true))
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("set up %s: %w", system, errors.Join(errs...))
}

// takeDown ends all processes. Their logs stay if wanted, and the ends of the
// logs are shown after a failure.
func (r *rig) takeDown(failed bool) error {
	all := slices.Concat(r.monitors, r.nodes)
	for _, p := range all {
		p.kill()
		if failed {
			r.b.say("--- %s\n%s\n", p.log, p.tail())
		}
	}
	if r.dir == "" || r.b.keep {
		return nil
	}
	return os.RemoveAll(r.dir)
}

// setUp returns when the monitors know everything and all is calm.
func (r *rig) setUp(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	if r.dir, err = os.MkdirTemp(r.b.root, r.system+"-"); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	ports, err := freePorts(nodeCount + 3*monitorCount)
	if err != nil {
		return err
	}
	if err := r.startNodes(ports[:nodeCount]); err != nil {
		return err
	}
	if err := r.until(ctx, r.nodesReady); err != nil {
		return fmt.Errorf("wait for the nodes: %w", err)
	}
	r.gossip, r.web = ports[nodeCount+monitorCount:nodeCount+2*monitorCount], ports[nodeCount+2*monitorCount:]
	for i, port := range ports[nodeCount : nodeCount+monitorCount] {
		if err := r.configure(i, port); err != nil {
			return err
		}
		m, err := r.startMonitor(i, port)
		if err != nil {
			return err
		}
		r.monitors = append(r.monitors, m)
	}
	if err := r.until(ctx, r.monitorsReady); err != nil {
		return fmt.Errorf("wait for the monitors: %w", err)
	}
	return pause(ctx, calm+time.Duration(r.b.dice.Int64N(int64(calmSpread))))
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error { return duration.Pause(ctx, d) }

// until repeats a question until it is answered without an error, and gives up
// when a process has ended.
func (r *rig) until(ctx context.Context, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		for _, p := range slices.Concat(r.nodes, r.monitors) {
			if code, ok := p.ended(); ok {
				return fmt.Errorf("%s has ended with %d", p.name, code)
			}
		}
		if pause(ctx, pollEvery) != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

func (r *rig) startNodes(ports []int) error {
	for i, port := range ports {
		node, err := r.b.startNode(r.dir, "node"+strconv.Itoa(i), port, ports[0])
		if err != nil {
			return err
		}
		r.nodes = append(r.nodes, node)
	}
	return nil
}

// startNode starts a redis-server with an empty directory. It follows the node
// on primaryPort, unless that is itself.
func (b *bench) startNode(dir, name string, port, primaryPort int) (*process, error) {
	data := filepath.Join(dir, name+".data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsave \"\"\nrepl-diskless-sync-delay 0\n", port, data)
	if port != primaryPort {
		text += fmt.Sprintf("replicaof 127.0.0.1 %d\n", primaryPort)
	}
	// A file, because both systems have the nodes rewrite it.
	file := filepath.Join(data, "redis.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	c, err := b.launch.run(dir, name, nil, b.serverBinary, file)
	if err != nil {
		return nil, err
	}
	return &process{c, address(port), port}, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// role is a node's answer to ROLE: its role, and for a replica its primary and
// the state of the link.
func role(addr string) (string, string, string, error) {
	w, err := dial(addr, askLimit)
	if err != nil {
		return "", "", "", err
	}
	defer w.close()
	return w.role(askLimit)
}

func (w *wire) role(limit time.Duration) (word, primary, link string, err error) {
	answer, err := w.call(limit, "ROLE")
	if err != nil {
		return "", "", "", err
	}
	list, _ := answer.([]any)
	if len(list) >= 1 {
		word, _ = list[0].(string)
	}
	if len(list) >= 4 {
		host, _ := list[1].(string)
		port, _ := list[2].(int64)
		primary = net.JoinHostPort(host, strconv.FormatInt(port, 10))
		link, _ = list[3].(string)
	}
	return word, primary, link, nil
}

// nodesReady: the replicas are in step. Something is written, so that there is
// data to lose.
func (r *rig) nodesReady() error {
	for _, n := range r.nodes[1:] {
		if _, primary, link, err := role(n.addr); err != nil || primary != r.nodes[0].addr || link != "connected" {
			return fmt.Errorf("%s follows %q, link %q: %w", n.name, primary, link, err)
		}
	}
	w, err := dial(r.nodes[0].addr, askLimit)
	if err != nil {
		return err
	}
	defer w.close()
	_, err = w.call(askLimit, "SET", "before", "the fault")
	return err
}

// fault harms the primary, and says when.
func (r *rig) fault(kind string) (time.Time, error) {
	at := time.Now()
	return at, r.nodes[0].signal(faultSignals[kind])
}

func (r *rig) monitorAddrs() []string {
	addrs := make([]string, len(r.monitors))
	for i, m := range r.monitors {
		addrs[i] = m.addr
	}
	return addrs
}
