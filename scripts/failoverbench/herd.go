package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// realGroups is how many groups of a herd are real servers. More would take the
// memory and the processor that the monitors are measured on.
const realGroups = 20

// herd is many groups of one primary and its replicas each. The first ones are
// redis-servers, the rest are nodes simulated in one process (simnodes). Many
// monitors may watch it, one after the other.
type herd struct {
	b       *bench
	dir     string
	groups  []pack
	real    []*process
	cloud   *process // nil: every group is real
	control *wire
}

// pack is one group of a herd: ports[0] is its first primary.
type pack struct {
	name  string
	ports []int
}

// newHerd starts groups of 1+replicas nodes, of which the first are real, and
// returns when all of them answer.
func (b *bench) newHerd(ctx context.Context, groups, actual, replicas int) (h *herd, err error) {
	h = &herd{b: b}
	if h.dir, err = os.MkdirTemp(b.root, "herd-"); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
			h = nil
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	actual = min(actual, groups)
	if err := h.startReal(actual, replicas); err != nil {
		return h, err
	}
	if groups > actual {
		if err := h.startCloud(ctx, groups-actual, replicas); err != nil {
			return h, err
		}
	}
	for {
		err := h.ready()
		if err == nil {
			return h, nil
		}
		if pause(ctx, pollEvery) != nil {
			return h, fmt.Errorf("wait for the nodes: %w", err)
		}
	}
}

func (h *herd) close() error {
	h.control.close()
	all := h.real
	if h.cloud != nil {
		all = append(all, h.cloud)
	}
	for _, p := range all {
		p.kill()
	}
	if h.b.keep {
		return nil
	}
	return os.RemoveAll(h.dir)
}

// startReal starts the redis-servers.
func (h *herd) startReal(groups, replicas int) error {
	ports, err := freePorts(groups * (replicas + 1))
	if err != nil {
		return err
	}
	for i := range groups {
		p := pack{name: "g" + strconv.Itoa(len(h.groups)), ports: ports[i*(replicas+1) : (i+1)*(replicas+1)]}
		h.groups = append(h.groups, p)
		for k, port := range p.ports {
			name := fmt.Sprintf("%s-%d", p.name, k)
			node, err := h.b.startNode(h.dir, name, port, p.ports[0])
			if err != nil {
				return err
			}
			h.real = append(h.real, node)
		}
	}
	return nil
}

// The ports of simulated nodes are a row, below those that systems give to
// clients.
const (
	cloudFirst = 12000
	cloudLast  = 30000
	cloudTries = 10
)

// startCloud starts the simulated nodes, on another row of ports where the one
// tried is not free.
func (h *herd) startCloud(ctx context.Context, groups, replicas int) error {
	count := groups * (replicas + 1)
	var errs []error
	for range cloudTries {
		first := cloudFirst + h.b.dice.IntN(cloudLast-cloudFirst-count)
		control, err := freePorts(1)
		if err != nil {
			return err
		}
		c, err := h.b.launch.run(h.dir, "simnodes", nil, h.b.nodesBinary, "-ports", fmt.Sprintf("%d-%d", first, first+count-1),
			"-replicas", strconv.Itoa(replicas), "-control", strconv.Itoa(control[0]))
		if err != nil {
			return err
		}
		if h.control, err = reach(ctx, c, address(control[0])); err != nil {
			c.kill()
			errs = append(errs, fmt.Errorf("%w: %s", err, c.tail()))
			continue
		}
		h.cloud = &process{c, address(control[0]), control[0]}
		for i := range groups {
			p := pack{name: "g" + strconv.Itoa(len(h.groups))}
			for k := range replicas + 1 {
				p.ports = append(p.ports, first+i*(replicas+1)+k)
			}
			h.groups = append(h.groups, p)
		}
		return nil
	}
	return fmt.Errorf("start simulated nodes: %w", errors.Join(errs...))
}

// reach connects to a child as soon as it listens.
func reach(ctx context.Context, c *child, addr string) (*wire, error) {
	for {
		w, err := dial(addr, askLimit)
		if err == nil {
			return w, nil
		}
		if code, ok := c.ended(); ok {
			return nil, fmt.Errorf("%s has ended with %d", c.name, code)
		}
		if pause(ctx, pollEvery) != nil {
			return nil, err
		}
	}
}

// order has the process of simulated nodes do something with nodes.
func (h *herd) order(verb string, ports ...int) error {
	words := []string{verb}
	for _, p := range ports {
		words = append(words, strconv.Itoa(p))
	}
	if _, err := h.control.call(10*time.Second, words...); err != nil {
		return fmt.Errorf("%s simulated nodes: %w", strings.ToLower(verb), err)
	}
	return nil
}

// ready: every replica of a real group is in step.
func (h *herd) ready() error {
	for _, p := range h.groups[:len(h.real)/len(h.groups[0].ports)] {
		for _, port := range p.ports[1:] {
			_, primary, link, err := role(address(port))
			if err != nil || primary != address(p.ports[0]) || link != "connected" {
				return fmt.Errorf("%d follows %q, link %q: %w", port, primary, link, err)
			}
		}
	}
	return nil
}

// post is a monitor of a herd.
type post struct {
	*process
	system string
	gossip int
	http   int    // port for metrics
	data   string // directory of a Warden
}

// post starts count monitors of one system on the first groups of a herd.
func (h *herd) post(system string, count, groups int, downAfter time.Duration) (posts []*post, err error) {
	ports, err := freePorts(3 * count)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(h.dir, system+"-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer func() {
		if err != nil {
			relieve(posts)
			posts = nil
		}
	}()
	for i := range count {
		file := filepath.Join(dir, fmt.Sprintf("monitor%d.conf", i))
		data := filepath.Join(dir, fmt.Sprintf("monitor%d.data", i))
		text := h.sentinelConfig(ports[i], count, groups, dir, downAfter)
		program, args := h.b.serverBinary, []string{file, "--sentinel"}
		if system == ours {
			text = h.wardenConfig(ports[i], ports[2*count+i], ports[count:2*count], i, groups, data, downAfter)
			program, args = h.b.wardenBinary, []string{"--warden", file}
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return posts, fmt.Errorf("write configuration: %w", err)
		}
		c, err := h.b.launch.run(dir, fmt.Sprintf("%s%d", system, i), nil, program, args...)
		if err != nil {
			return posts, err
		}
		posts = append(posts, &post{process: &process{c, address(ports[i]), ports[i]}, system: system, gossip: ports[count+i], http: ports[2*count+i], data: data})
	}
	return posts, nil
}

// relieve ends monitors.
func relieve(posts []*post) {
	for _, p := range posts {
		stopChild(p.child, 5*time.Second)
	}
}

func (h *herd) wardenConfig(port, http int, gossip []int, i, groups int, data string, downAfter time.Duration) string {
	var b strings.Builder
	var join []string
	for k, g := range gossip {
		if k != i {
			join = append(join, strconv.Quote(address(g)))
		}
	}
	// A few are enough to meet all.
	join = join[:min(len(join), 6)]
	fmt.Fprintf(&b, "host = \"127.0.0.1\"\nport = %d\ngossip_port = %d\ndata_dir = %q\njoin = [%s]\n", port, gossip[i], data, strings.Join(join, ", "))
	for _, p := range h.groups[:groups] {
		fmt.Fprintf(&b, "[[masters]]\nname = %q\nip = \"127.0.0.1\"\nport = %d\nquorum = %d\nwardens = %d\ndown_after = %q\n",
			p.name, p.ports[0], len(gossip)/2+1, len(gossip), downAfter)
	}
	fmt.Fprintf(&b, "[http]\nlisten = %q\n", address(http))
	return b.String()
}

func (h *herd) sentinelConfig(port, count, groups int, dir string, downAfter time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "port %d\nbind 127.0.0.1\ndir %s\n", port, dir)
	for _, p := range h.groups[:groups] {
		fmt.Fprintf(&b, "sentinel monitor %s 127.0.0.1 %d %d\nsentinel down-after-milliseconds %[1]s %[4]d\n",
			p.name, p.ports[0], count/2+1, downAfter.Milliseconds())
	}
	return b.String()
}

// settled waits until every monitor knows the replicas of all its groups and
// every other monitor, and no one is down.
func (h *herd) settled(ctx context.Context, posts []*post, groups int) error {
	return until(ctx, posts, func() error {
		for _, p := range posts {
			if err := h.informed(p, len(posts), groups); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		return nil
	})
}

// until repeats a question until there is no error, and gives up when a monitor
// has ended.
func until(ctx context.Context, posts []*post, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		for _, p := range posts {
			if code, ok := p.ended(); ok {
				return fmt.Errorf("%s has ended with %d: %s", p.name, code, p.tail())
			}
		}
		if pause(ctx, 10*pollEvery) != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

func (h *herd) informed(p *post, monitors, groups int) error {
	w, err := dial(p.addr, askLimit)
	if err != nil {
		return err
	}
	defer w.close()
	answer, err := w.call(5*time.Second, "SENTINEL", "MASTERS")
	if err != nil {
		return err
	}
	list, _ := answer.([]any)
	if len(list) != groups {
		return fmt.Errorf("%d groups of %d", len(list), groups)
	}
	for _, item := range list {
		v := pairs(item)
		if v["flags"] != "master" || v["num-slaves"] != strconv.Itoa(len(h.groups[0].ports)-1) || v["num-other-sentinels"] != strconv.Itoa(monitors-1) {
			return fmt.Errorf("%s: flags %s, %s replicas, %s peers", v["name"], v["flags"], v["num-slaves"], v["num-other-sentinels"])
		}
	}
	return nil
}

// primaryPorts are the first primaries of groups.
func primaryPorts(groups []pack) []int {
	var ports []int
	for _, p := range groups {
		ports = append(ports, p.ports[0])
	}
	return ports
}

// has reports whether a node on a port belongs to the group.
func (p pack) has(port int) bool { return slices.Contains(p.ports, port) }
