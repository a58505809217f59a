package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden/archive"
)

// Soak is failovers for hours: one group after the other loses its primary, is
// failed over, and gets the old primary back as a replica, while three Wardens
// are asked again and again what they hold. What only ever grows is a leak.
const (
	soakGroups    = 12
	soakReal      = 2 // of them real redis-servers
	soakReplicas  = 2
	soakDownAfter = time.Second
	// soakGrowth is by how much the last third of the samples may lie above the
	// first third, by their medians.
	soakGrowth = 1.10
	// soakLimit bounds one failover with everything that belongs to it.
	soakLimit = 90 * time.Second
)

// sample is what one Warden holds at one moment.
type sample struct {
	goroutines, files, memory, disk float64 // MB for the last two
	past                            float64 // on disk beside that: events and reports, MB
}

// soakFigures are the figures of a sample. The slack is what a figure may grow
// beside the share: figures this small jump by themselves.
var soakFigures = []struct {
	name  string
	of    func(sample) float64
	slack float64
}{
	{"goroutines", func(s sample) float64 { return s.goroutines }, 10},
	{"files", func(s sample) float64 { return s.files }, 10},
	{"memory", func(s sample) float64 { return s.memory }, 4},
	{"disk", func(s sample) float64 { return s.disk }, 0.25},
}

// pastMost is how many MB events and reports may take. They grow for hours, up to
// 4 MB and some hundred reports of each group.
const pastMost = 4 + 2*soakGroups

// soak runs failovers for b.lasting, samples, and judges.
func (b *bench) soak(ctx context.Context) error {
	b.say("\nsoak: three Wardens, %d groups of 3 nodes (%d of them redis-servers), down_after %s, failovers one after the other for %s\n",
		soakGroups, soakReal, soakDownAfter, b.lasting)
	h, err := b.newHerd(ctx, soakGroups, soakReal, soakReplicas)
	if err != nil {
		return err
	}
	posts, err := h.post(ours, monitorCount, soakGroups, soakDownAfter)
	if err != nil {
		return errors.Join(err, h.close())
	}
	samples, failovers, err := h.soak(ctx, posts)
	if err != nil {
		for _, p := range posts {
			b.say("--- %s\n%s\n", p.log, p.tail())
		}
	}
	relieve(posts)
	if err = errors.Join(err, h.close()); err != nil {
		return fmt.Errorf("after %d failovers: %w", failovers, err)
	}
	b.say("\n%d failovers, each led to one primary, with the old one as its replica\n", failovers)
	b.judge(soakBars(samples)...)
	return nil
}

// soak returns the samples of each Warden and the number of failovers made.
func (h *herd) soak(ctx context.Context, posts []*post) (samples [][]sample, failovers int, err error) {
	soon, cancel := context.WithTimeout(ctx, setupLimit)
	defer cancel()
	if err := h.settled(soon, posts, soakGroups); err != nil {
		return nil, 0, fmt.Errorf("wait for the Wardens: %w", err)
	}
	samples = make([][]sample, len(posts))
	began := time.Now()
	next := began // of the samples
	for time.Since(began) < h.b.lasting {
		p := h.groups[failovers%len(h.groups)]
		if err := h.cycle(ctx, posts, p); err != nil {
			return samples, failovers, fmt.Errorf("%s: %w", p.name, err)
		}
		failovers++
		if failovers < len(h.groups) || time.Now().Before(next) {
			continue // the first round is still the start
		}
		next = time.Now().Add(h.b.sampled)
		for i, w := range posts {
			s, err := w.sample(ctx)
			if err != nil {
				return samples, failovers, err
			}
			samples[i] = append(samples[i], s)
			h.b.say("    %7.0f s %5d failovers  %s: %4.0f goroutines, %3.0f files, %5.1f MB memory, %5.2f MB on disk and %.2f MB of the past (load %s)\n",
				time.Since(began).Seconds(), failovers, w.name, s.goroutines, s.files, s.memory, s.disk, s.past, load())
		}
	}
	return samples, failovers, nil
}

// cycle kills the primary of a group, waits until all Wardens name one that
// takes writes, and until the old one is a replica of it.
func (h *herd) cycle(ctx context.Context, posts []*post, p pack) error {
	ctx, cancel := context.WithTimeout(ctx, soakLimit)
	defer cancel()
	old, err := named(posts[0], p.name)
	if err != nil {
		return err
	}
	if err := h.stop(old); err != nil {
		return err
	}
	primary := 0
	err = until(ctx, posts, func() error {
		for _, w := range posts {
			switch port, err := named(w, p.name); {
			case err != nil:
				return err
			case port == old || !p.has(port) || primary != 0 && port != primary:
				primary = 0
				return fmt.Errorf("%s names %d, after %d was killed", w.name, port, old)
			default:
				primary = port
			}
		}
		return written(primary)
	})
	if err != nil {
		return fmt.Errorf("wait for another primary: %w", err)
	}
	if err := h.start(old); err != nil {
		return err
	}
	err = until(ctx, posts, func() error {
		for _, port := range p.ports {
			word, of, link, err := role(address(port))
			switch {
			case err != nil:
				return err
			case port == primary && word == "master", port != primary && of == address(primary) && link == "connected":
			default:
				return fmt.Errorf("%d is a %s of %q, link %q; %d is the primary", port, word, of, link, primary)
			}
		}
		return h.healthy(posts, p)
	})
	if err != nil {
		return fmt.Errorf("wait for the old primary's return: %w", err)
	}
	return nil
}

// named is the port of the primary that a monitor names.
func named(w *post, group string) (int, error) {
	c, err := dial(w.addr, askLimit)
	if err != nil {
		return 0, err
	}
	defer c.close()
	answer, err := c.call(askLimit, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", group)
	if err != nil {
		return 0, err
	}
	list, _ := answer.([]any)
	if len(list) != 2 {
		return 0, fmt.Errorf("%s names no primary of %s", w.name, group)
	}
	text, _ := list[1].(string)
	return strconv.Atoi(text)
}

// written: a node takes a write.
func written(port int) error {
	w, err := dial(address(port), askLimit)
	if err != nil {
		return err
	}
	defer w.close()
	_, err = w.call(askLimit, "SET", "soak", "x")
	return err
}

// healthy: no monitor holds any node of the group for down.
func (h *herd) healthy(posts []*post, p pack) error {
	for _, w := range posts {
		c, err := dial(w.addr, askLimit)
		if err != nil {
			return err
		}
		answer, err := c.call(askLimit, "SENTINEL", "REPLICAS", p.name)
		c.close()
		if err != nil {
			return err
		}
		list, _ := answer.([]any)
		if len(list) != len(p.ports)-1 {
			return fmt.Errorf("%s knows %d replicas", w.name, len(list))
		}
		for _, item := range list {
			if v := pairs(item); v["flags"] != "slave" || v["master-link-status"] != "ok" {
				return fmt.Errorf("%s: %s is %s, link %s", w.name, v["name"], v["flags"], v["master-link-status"])
			}
		}
	}
	return nil
}

// stop kills a node of the herd, as kill -9 does.
func (h *herd) stop(port int) error {
	for _, p := range h.real {
		if p.port == port {
			p.kill()
			return nil
		}
	}
	return h.order("STOP", port)
}

// start starts a stopped node again, from its own configuration file where it
// is a real one.
func (h *herd) start(port int) error {
	for _, p := range h.real {
		if p.port != port {
			continue
		}
		c, err := h.b.launch.run(h.dir, p.name, nil, h.b.serverBinary, filepath.Join(h.dir, p.name+".data", "redis.conf"))
		if err != nil {
			return err
		}
		p.child = c
		return nil
	}
	return h.order("START", port)
}

// sample asks a Warden's port for metrics, and looks at its directory.
func (w *post) sample(ctx context.Context) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(w.http)+"/metrics", nil)
	if err != nil {
		return s, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return s, fmt.Errorf("sample %s: %w", w.name, err)
	}
	defer func() { _ = answer.Body.Close() }()
	figures := map[string]*float64{"go_goroutines": &s.goroutines, "process_open_fds": &s.files, "process_resident_memory_bytes": &s.memory}
	found := 0
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := figures[name]; to != nil {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return s, fmt.Errorf("sample %s: %w", w.name, err)
			}
			found++
		}
	}
	if found != len(figures) {
		return s, fmt.Errorf("sample %s: %d of %d figures", w.name, found, len(figures))
	}
	s.memory /= 1 << 20
	err = filepath.WalkDir(w.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size := &s.disk
		if strings.HasPrefix(d.Name(), archive.EventsFile) || filepath.Base(filepath.Dir(path)) == archive.ReportsDir {
			size = &s.past
		}
		if err == nil {
			*size += float64(info.Size()) / (1 << 20)
		}
		return err
	})
	return s, err
}

// soakBars compare the last third of each Warden's samples with the first.
func soakBars(samples [][]sample) []Bar {
	var bars []Bar
	for i, all := range samples {
		third := len(all) / 3
		if third == 0 {
			bars = append(bars, atLeast(fmt.Sprintf("Warden %d: samples", i), float64(len(all)), 3))
			continue
		}
		for _, f := range soakFigures {
			of := func(part []sample) float64 {
				values := make([]float64, len(part))
				for i, s := range part {
					values[i] = f.of(s)
				}
				slices.Sort(values)
				return median(values)
			}
			first, last := of(all[:third]), of(all[len(all)-third:])
			limit := first*soakGrowth + f.slack
			bar := atMost(fmt.Sprintf("Warden %d, %s: median of the last third (%.1f in the first)", i, f.name, first), last, limit)
			bars = append(bars, bar)
		}
		bars = append(bars, atMost(fmt.Sprintf("Warden %d, events and reports on disk, MB", i), all[len(all)-1].past, pastMost))
	}
	return bars
}
