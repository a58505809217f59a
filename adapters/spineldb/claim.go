package spineldb

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// maxClaimRounds bounds how often the client list is read while older order
// sessions are being shut out. One round is enough unless somebody keeps
// coming back.
const maxClaimRounds = 16

// Claim shuts older leaders out of a node and returns a session for orders.
//
// The order of steps is what makes two racing claims safe: each leader first
// gives its own connection the name, and only then reads the list. So of two
// leaders at least one sees the other, and the one with the lower epoch goes:
// by its own reading, or killed by the other.
func (a *Adapter) Claim(ctx context.Context, node warden.NodeID, claim warden.Claim) (warden.Session, warden.Result) {
	ctx, cancel := a.within(ctx)
	defer cancel()
	w, err := a.dial(ctx, node, "")
	if err != nil {
		return nil, refused(fmt.Errorf("claim %s: %w", node, err))
	}
	c := claiming{adapter: a, wire: w, own: markOf(claim, false)}
	if res := c.run(ctx); res.Outcome != warden.Done {
		w.close()
		return nil, res
	}
	return &session{adapter: a, node: node, wire: w}, warden.Result{Outcome: warden.Done}
}

func refused(err error) warden.Result {
	return warden.Result{Outcome: warden.Refused, Why: warden.DetailOf(err)}
}

// claiming is a claim under way.
type claiming struct {
	adapter *Adapter
	wire    *wire
	own     mark
	self    int64 // id of our own connection
	// oldKill: the server wants CLIENT KILL <id> (SpinelDB).
	oldKill bool
}

// run claims, and always ends as done or refused: nothing is ordered here, so
// nothing can be in doubt.
func (c *claiming) run(ctx context.Context) warden.Result {
	clients, err := c.list(ctx)
	if err != nil {
		return refused(fmt.Errorf("claim: %w", err))
	}
	// Looked at before the name is set: a leader that is late must not leave
	// a trace behind a newer one.
	if res := c.superseded(clients); res.Outcome != warden.Done {
		return res
	}
	if err := c.setName(ctx); err != nil {
		return refused(fmt.Errorf("claim: %w", err))
	}
	for range maxClaimRounds {
		if clients, err = c.list(ctx); err != nil {
			return refused(fmt.Errorf("claim: %w", err))
		}
		if res := c.superseded(clients); res.Outcome != warden.Done {
			return res
		}
		older := c.older(clients)
		if len(older) == 0 {
			return c.finish(ctx, clients)
		}
		if err := c.kill(ctx, older); err != nil {
			return refused(fmt.Errorf("claim: %w", err))
		}
	}
	return refused(fmt.Errorf("claim: older order sessions came back %d times", maxClaimRounds))
}

// finish checks that the server shows our own name, without which a later
// leader could not shut us out, and what it can do.
func (c *claiming) finish(ctx context.Context, clients []client) warden.Result {
	shown := false
	for _, k := range clients {
		shown = shown || k.name == c.own.String()
	}
	if !shown {
		return refused(fmt.Errorf("claim: the server does not list our connection under its name, so a later leader could not end it"))
	}
	if err := c.wire.probe(ctx); err != nil {
		return refused(fmt.Errorf("claim: %w", err))
	}
	return warden.Result{Outcome: warden.Done}
}

// client is one line of CLIENT LIST.
type client struct {
	id   int64
	name string
	mark mark
	ours bool // the name is a Warden's
}

// list reads CLIENT LIST, keeping the connections of Wardens of our group.
func (c *claiming) list(ctx context.Context) ([]client, error) {
	replies, err := c.wire.ask(ctx, []any{"CLIENT", "LIST"})
	if err != nil {
		return nil, fmt.Errorf("list clients: %w", err)
	}
	if replies[0].err != nil {
		return nil, fmt.Errorf("list clients (does our user have the permission?): %w", replies[0].err)
	}
	var found []client
	for _, k := range parseClients(replies[0].text()) {
		if k.ours && k.mark.group == c.own.group {
			found = append(found, k)
		}
	}
	return found, nil
}

// parseClients reads the reply of CLIENT LIST.
func parseClients(text string) []client {
	var all []client
	for line := range strings.Lines(text) {
		var k client
		found := false
		for field := range strings.FieldsSeq(line) {
			key, value, _ := strings.Cut(field, "=")
			switch key {
			case "id":
				id, err := strconv.ParseInt(value, 10, 64)
				k.id, found = id, err == nil
			case "name":
				k.name = value
			}
		}
		if !found {
			continue
		}
		k.mark, k.ours = parseMark(k.name)
		all = append(all, k)
	}
	return all
}

// superseded looks for a leader that goes before us: any connection with a
// higher epoch, or an order session of another Warden with the same one.
func (c *claiming) superseded(clients []client) warden.Result {
	for _, k := range clients {
		rival := k.mark.epoch == c.own.epoch && !k.mark.watch && k.mark.id != c.own.id
		if k.mark.epoch > c.own.epoch || rival {
			return warden.Result{
				Outcome:    warden.Refused,
				Superseded: true,
				Why:        fmt.Sprintf("claim: epoch %d is superseded: the node shows %s", c.own.epoch, k.name),
			}
		}
	}
	return warden.Result{Outcome: warden.Done}
}

// older are the order sessions to be shut out: those of lower epochs, and
// those we opened ourselves earlier in this one.
func (c *claiming) older(clients []client) []int64 {
	var ids []int64
	for _, k := range clients {
		if !k.mark.watch && k.id != c.self {
			ids = append(ids, k.id)
		}
	}
	return ids
}

// setName names our connection and finds out its id.
func (c *claiming) setName(ctx context.Context) error {
	replies, err := c.wire.ask(ctx, []any{"CLIENT", "SETNAME", c.own.String()}, []any{"CLIENT", "ID"})
	if err != nil {
		return fmt.Errorf("name the order session: %w", err)
	}
	if replies[0].err != nil {
		return fmt.Errorf("name the order session: %w", replies[0].err)
	}
	c.wire.name = c.own.String()
	if id, ok := replies[1].val.(int64); ok {
		c.self = id
		return nil
	}
	return c.findSelf(ctx)
}

// findSelf finds our own id in the list, where CLIENT ID is missing (SpinelDB,
// Redis before 5): by our own address.
func (c *claiming) findSelf(ctx context.Context) error {
	replies, err := c.wire.ask(ctx, []any{"CLIENT", "LIST"})
	if err != nil {
		return fmt.Errorf("find our own connection: %w", err)
	}
	own := "addr=" + c.wire.tap.LocalAddr().String()
	for line := range strings.Lines(replies[0].text()) {
		if strings.Contains(line, own+" ") || strings.HasSuffix(strings.TrimSpace(line), own) {
			if found := parseClients(line); len(found) == 1 && found[0].name == c.own.String() {
				c.self = found[0].id
				return nil
			}
		}
	}
	return fmt.Errorf("find our own connection: the server has no CLIENT ID and its list shows no %s", own)
}

// kill ends connections. One that is gone already is no error.
func (c *claiming) kill(ctx context.Context, ids []int64) error {
	for _, id := range ids {
		form := []any{"CLIENT", "KILL", "ID", id}
		if c.oldKill {
			form = []any{"CLIENT", "KILL", id}
		}
		replies, err := c.wire.ask(ctx, form)
		if err == nil && replies[0].err != nil && !c.oldKill && !noSuchClient(replies[0].err) {
			c.oldKill = true
			replies, err = c.wire.ask(ctx, []any{"CLIENT", "KILL", id})
		}
		if err != nil {
			return fmt.Errorf("end an older order session: %w", err)
		}
		if err := replies[0].err; err != nil && !noSuchClient(err) {
			return fmt.Errorf("end an older order session: %w", err)
		}
	}
	return nil
}

func noSuchClient(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), "no such client")
}
