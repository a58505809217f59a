package spineldb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spineldb/warden/warden"
)

// session gives orders to one claimed node. Its connection is never replaced:
// when it is lost, the session is over, and the leader has to claim again.
type session struct {
	adapter *Adapter
	node    warden.NodeID

	mu   sync.Mutex // one order at a time
	wire *wire
}

var errSessionOver = errors.New("the order session has ended: the node closed it (a newer leader, a restart), or an earlier order broke it; claim again")

// order sends commands in one write, once. The result is set when there are
// no replies to read: refused when nothing can have left, unknown otherwise.
// s.mu must be held.
func (s *session) order(ctx context.Context, what string, commands ...[]any) ([]reply, *warden.Result) {
	if err := ctx.Err(); err != nil {
		res := refused(fmt.Errorf("%s %s: not sent: %w", what, s.node, err))
		return nil, &res
	}
	if s.wire.ended() {
		s.wire.close()
		res := refused(fmt.Errorf("%s %s: not sent: %w", what, s.node, errSessionOver))
		return nil, &res
	}
	before := s.wire.tap.wrote.Load()
	replies, err := s.wire.ask(ctx, commands...)
	if err == nil {
		return replies, nil
	}
	s.wire.close()
	res := refused(fmt.Errorf("%s %s: not sent: %w", what, s.node, err))
	if s.wire.tap.wrote.Load() != before {
		res = unknown(fmt.Errorf("%s %s: sent, but no answer: %w", what, s.node, err))
	}
	return nil, &res
}

func unknown(err error) warden.Result {
	return warden.Result{Outcome: warden.Unknown, Why: warden.DetailOf(err)}
}

// Promote makes the node a primary. See warden.Session.
func (s *session) Promote(ctx context.Context, _ *warden.SyncRule) warden.Result {
	return s.changeRole(ctx, change{what: "promote", host: "NO", port: "ONE"})
}

// Follow makes the node a replica of primary. See warden.Session.
func (s *session) Follow(ctx context.Context, f warden.Following) warden.Result {
	primary := f.Primary
	if primary == s.node || primary.Host() == "" || primary.Port() == "0" {
		return refused(fmt.Errorf("follow: %s cannot follow %q", s.node, primary))
	}
	return s.changeRole(ctx, change{what: "follow", host: primary.Host(), port: primary.Port(), avoid: f.Avoid})
}

// change is a new role: what it is called in reports, the two words after
// REPLICAOF, and the replication id of which no copy may be taken (or "").
type change struct{ what, host, port, avoid string }

// changeRole sends the whole change as one transaction: the new role, its place
// in the server's own configuration file, and the end of all clients, so that
// they ask again where the primary is. SKIPME is the default of CLIENT KILL:
// the session survives. The kept connections of Wardens are cut too and come
// back; the session's own name stands as the mark meanwhile.
func (s *session) changeRole(ctx context.Context, c change) warden.Result {
	ctx, cancel := s.adapter.within(ctx)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	word, what := s.wire.able.follow, c.what
	if word == "" {
		return refused(fmt.Errorf("%s %s: the server has neither REPLICAOF nor SLAVEOF; its role can only be changed in its own configuration", what, s.node))
	}
	before, broken := s.poison(ctx, c)
	if broken != nil {
		return *broken
	}
	steps := [][]any{
		{word, c.host, c.port},
		{"CONFIG", "REWRITE"},
		{"CLIENT", "KILL", "TYPE", "normal"},
		{"CLIENT", "KILL", "TYPE", "pubsub"},
	}
	first := len(before)
	transaction := append(append(append(before, []any{"MULTI"}), steps...), []any{"EXEC"})
	replies, broken := s.order(ctx, what, transaction...)
	if broken != nil {
		return *broken
	}
	res, again := s.readTransaction(what, replies[first:])
	if again {
		res = s.changeSingly(ctx, what, steps)
	}
	for _, r := range replies[:first] {
		if r.err != nil {
			res.Notes = append(res.Notes, "poison-failed: "+warden.DetailOf(r.err))
		}
	}
	return res
}

// poisonTime is for how long, in seconds, a replica refuses to take a full copy
// from a replaced primary. It is what SpinelDB's own Warden asks for: long
// enough for the old primary to be demoted, and over by itself.
const poisonTime = 60

// poison is what goes before a change of role so that the node takes no copy of
// the data of a replaced primary, which may still answer: nothing where there
// is nothing to avoid or the server does not know the command. s.mu must be
// held.
func (s *session) poison(ctx context.Context, c change) ([][]any, *warden.Result) {
	if c.avoid == "" {
		return nil, nil
	}
	if err := s.wire.probePoison(ctx); err != nil {
		s.wire.close()
		res := refused(fmt.Errorf("%s %s: not sent: %w", c.what, s.node, err))
		return nil, &res
	}
	if !s.wire.able.poison {
		return nil, nil
	}
	return [][]any{{"FAILOVER", "POISON", c.avoid, poisonTime}}, nil
}

// readTransaction reads all replies of the transaction. again: the server
// surely did nothing because it refuses one of the lesser steps inside a
// transaction, so the steps may be given singly.
func (s *session) readTransaction(what string, replies []reply) (res warden.Result, again bool) {
	last := len(replies) - 1
	multi, queued, exec := replies[0], replies[1:last], replies[last]
	if multi.err != nil {
		// No transactions here: each step was carried out by itself.
		return s.readSteps(what, queued), false
	}
	if err := queued[0].err; err != nil {
		return refused(fmt.Errorf("%s %s: %w", what, s.node, err)), false
	}
	if exec.err != nil {
		code, _, _ := strings.Cut(exec.err.Error(), " ")
		switch {
		case code == "EXECABORT":
			return warden.Result{}, true
		case healthOf(exec.err) == warden.HealthDenied:
			return refused(fmt.Errorf("%s %s: %w", what, s.node, exec.err)), false
		}
		return unknown(fmt.Errorf("%s %s: %w", what, s.node, exec.err)), false
	}
	done, ok := exec.val.([]any)
	if !ok || len(done) != len(queued) {
		return unknown(fmt.Errorf("%s %s: cannot read the answer of the transaction", what, s.node)), false
	}
	for i, val := range done {
		queued[i] = reply{val: val}
		if err, ok := val.(error); ok {
			queued[i] = reply{err: err}
		}
	}
	return s.readSteps(what, queued), false
}

// changeSingly gives the steps one by one where the server takes no such
// transaction. The first one decides.
func (s *session) changeSingly(ctx context.Context, what string, steps [][]any) warden.Result {
	replies, broken := s.order(ctx, what, steps[0])
	if broken != nil {
		return *broken
	}
	if replies[0].err != nil {
		return s.readSteps(what, replies)
	}
	rest, broken := s.order(ctx, what, steps[1:]...)
	if broken != nil {
		// The role is changed; what is left are side effects.
		return warden.Result{Outcome: warden.Done, Notes: []string{"clients-not-cut: " + broken.Why}}
	}
	return s.readSteps(what, append(replies, rest...))
}

// readSteps reads the answers to the steps themselves, in their order.
func (s *session) readSteps(what string, steps []reply) warden.Result {
	if err := steps[0].err; err != nil {
		return refused(fmt.Errorf("%s %s: %w", what, s.node, err))
	}
	if !strings.HasPrefix(steps[0].text(), "OK") {
		return unknown(fmt.Errorf("%s %s: the answer is not OK", what, s.node))
	}
	res := warden.Result{Outcome: warden.Done}
	notes := []string{"", "config-rewrite-failed: ", "client-kill-failed: ", "client-kill-failed: "}
	for i, step := range steps[1:] {
		if step.err != nil {
			res.Notes = append(res.Notes, notes[i+1]+warden.DetailOf(step.err))
		}
	}
	return res
}

// Hold stops writes for at most limit. See warden.Session.
func (s *session) Hold(ctx context.Context, limit warden.Duration) warden.Result {
	ctx, cancel := s.adapter.within(ctx)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit < warden.Millisecond {
		return refused(fmt.Errorf("hold %s: limit %v is shorter than 1ms", s.node, limit))
	}
	replies, broken := s.order(ctx, "hold", []any{"CLIENT", "PAUSE", limit.Milliseconds(), "WRITE"})
	if broken != nil {
		return *broken
	}
	if err := replies[0].err; err != nil {
		return refused(fmt.Errorf("hold %s: the server cannot pause writes alone (Redis 6.2 and later can): %w", s.node, err))
	}
	// Read after the pause was confirmed: this is the position after the last write.
	o, err := s.wire.look(ctx, "")
	if err != nil || o.Role == "" {
		if err == nil {
			err = errors.New(o.Detail)
		} else {
			s.wire.close()
		}
		return unknown(fmt.Errorf("hold %s: writes are paused, but the position cannot be read: %w", s.node, err))
	}
	return warden.Result{Outcome: warden.Done, Position: o.Position}
}

// Release ends a Hold. See warden.Session.
func (s *session) Release(ctx context.Context) warden.Result {
	ctx, cancel := s.adapter.within(ctx)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	replies, broken := s.order(ctx, "release", []any{"CLIENT", "UNPAUSE"})
	if broken != nil {
		return *broken
	}
	if err := replies[0].err; err != nil {
		return refused(fmt.Errorf("release %s: %w", s.node, err))
	}
	return warden.Result{Outcome: warden.Done}
}

// Look observes the node over the session. That the session has ended is no
// evidence against the node: a newer leader ends sessions too. So it is
// reported as silence, never as a refusal.
func (s *session) Look(ctx context.Context) warden.Observation {
	ctx, cancel := s.adapter.within(ctx)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wire.ended() {
		return warden.Observation{Health: warden.HealthSilent, Detail: errSessionOver.Error(), Priority: 100}
	}
	o, err := s.wire.look(ctx, "")
	if err == nil {
		return o
	}
	s.wire.close()
	o = failed(err)
	if o.Health == warden.HealthRefused {
		o.Health = warden.HealthSilent
	}
	return o
}

// Close ends the session's connection, and with it what may still be on its
// way. It does not wait for an order under way: that ends as unknown.
func (s *session) Close() { s.wire.close() }
