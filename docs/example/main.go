// Command example watches a primary and its replicas, and prints what it makes
// of them. It shows how the parts are used as a library: the edge that speaks
// to a database (adapters/spineldb), and the mind that judges what the edge saw
// (monitor). The mind never waits and never asks what time it is, so this loop
// is all the shell it needs.
//
//	go run ./docs/example 127.0.0.1:6379 127.0.0.1:6380
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "example:", err)
		os.Exit(1)
	}
}

// run watches the nodes until ctx is over. The first address is the primary's.
func run(ctx context.Context, addresses []string, out io.Writer) error {
	if len(addresses) == 0 {
		return fmt.Errorf("read arguments: none given: name the primary, then its replicas, as host:port")
	}
	config := monitor.Config{
		DownAfter: warden.Second, CrashAfter: 300 * warden.Millisecond, LifeLimit: 10 * warden.Second, Witness: true,
		// One Warden, whose own opinion is enough.
		Self: "example", Voters: []warden.WardenID{"example"}, Quorum: 1, Birth: "example", Confirmed: true,
	}
	for _, address := range addresses {
		node, err := warden.ParseNode(address)
		if err != nil {
			return fmt.Errorf("read arguments: %w", err)
		}
		config.Nodes = append(config.Nodes, node)
	}
	config.Primary = config.Nodes[0]
	slices.Sort(config.Nodes)

	// The links. Each look is a goroutine of its own, one at a time per node.
	began := time.Now()
	now := func() warden.Instant { return warden.Instant(1 + time.Since(began)) }
	seen := make(chan monitor.Event)
	adapter := spineldb.New(spineldb.Options{})
	done := make(chan struct{}, len(config.Nodes))
	for _, node := range config.Nodes {
		link := adapter.Open(node, warden.LinkEvents{})
		go func() {
			defer func() { link.Close(); done <- struct{}{} }()
			watch(ctx, link, node, now, seen)
		}()
	}
	defer func() {
		for range config.Nodes {
			<-done
		}
	}()

	// The loop: one event at a time, one Step each.
	state := monitor.New(now())
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var event monitor.Event = monitor.Tick{}
		select {
		case <-ctx.Done():
			return nil
		case event = <-seen:
		case <-tick.C:
		}
		var effects monitor.Effects
		state, effects = monitor.Step(config, state, event, now())
		for _, note := range effects.Notes {
			why := note.Extra
			if n := state.Find(note.Node); n != nil && n.Down {
				why = monitor.Why(&config, &state, n, now())
			}
			fmt.Fprintf(out, "%s %s %s\n", note.Name, note.Node, why)
		}
	}
}

// watch looks at one node every quarter of a second, until ctx is over.
func watch(ctx context.Context, link warden.Link, node warden.NodeID, now func() warden.Instant, seen chan<- monitor.Event) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		look, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		asked := now()
		observation := link.Look(look)
		cancel()
		select {
		case seen <- monitor.Looked{Node: node, Asked: asked, Observation: &observation}:
		case <-ctx.Done():
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
