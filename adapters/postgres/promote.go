package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/spineldb/warden/warden"
)

// nudgeEvery is between two nudges of a server that is being promoted. Told
// while its receiver tries to connect, it first waits for
// wal_retrieve_retry_interval, 5 s by default; a reload ends that wait.
const nudgeEvery = 20 * time.Millisecond

// Promote makes the node a primary, and waits until it says that it is one. What
// it is to wait for is in place before. Where it is a primary already, a fence or
// a hold is lifted. See warden.Session.
func (s *session) Promote(ctx context.Context, sync *warden.SyncRule) warden.Result {
	ctx, done, over := s.begin(ctx, "promote")
	if over != nil {
		return *over
	}
	defer done()
	if sync != nil {
		if res := s.before(ctx, *sync); res.Outcome != warden.Done {
			return res
		}
	}
	r, err := s.wire.one(ctx, "SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(false) END")
	if err != nil {
		return s.verdict("promote", err)
	}
	if r[0] != nil {
		if !r.yes(0) {
			return refused(fmt.Errorf("promote %s: the server could not signal itself", s.node))
		}
		if err := s.awaitPrimary(ctx); err != nil {
			return unknown(fmt.Errorf("promote %s: ordered, but it does not say that it is a primary: %w", s.node, err))
		}
	} else if err := s.unfence(ctx); err != nil { // a primary already
		return unknown(fmt.Errorf("promote %s: it is a primary, but may still be fenced: %w", s.node, err))
	}
	return s.after(ctx)
}

// before sees to it that the node will wait, or does, by a rule.
func (s *session) before(ctx context.Context, rule warden.SyncRule) warden.Result {
	set, err := s.settings(ctx)
	if err == nil && !set.standby {
		return s.waitBy(ctx, set, []warden.SyncRule{rule})
	}
	if err == nil {
		err = s.ready(ctx, set, rule)
	}
	if err != nil {
		return refused(fmt.Errorf("promote %s: not ordered: it does not wait by %q yet: %w", s.node, rule.String(), err))
	}
	return warden.Result{Outcome: warden.Done}
}

// after takes away what a seal has left on the new primary, and looks whether it
// takes writes: no Warden's setting keeps it from that now.
func (s *session) after(ctx context.Context) warden.Result {
	res := warden.Result{Outcome: warden.Done}
	set, err := s.settings(ctx)
	if err == nil {
		err = s.asPrimary(ctx, set)
	}
	if err != nil {
		res.Notes = append(res.Notes, fmt.Sprintf("seal-left: %s is a primary, but may have what a seal changed: %s", s.node, warden.DetailOf(err)))
	}
	if err == nil && set.readOnly {
		res.Notes = append(res.Notes, fmt.Sprintf("read-only: %s has %s = on, and not by order of a Warden", s.node, readOnly))
	}
	return res
}

// awaitPrimary waits until the node is a primary, and nudges it meanwhile.
func (s *session) awaitPrimary(ctx context.Context) error {
	nudged := time.Now()
	for {
		r, err := s.wire.one(ctx, "SELECT NOT pg_is_in_recovery()")
		if err != nil || r.yes(0) {
			return err
		}
		if time.Since(nudged) >= nudgeEvery {
			nudged = time.Now()
			if err := s.reload(ctx); err != nil {
				return err
			}
		}
		if err := pause(ctx, promoteAgain); err != nil {
			return err
		}
	}
}

// promoteAgain is between two looks at a node that is being promoted, for which
// clients wait.
const promoteAgain = 2 * time.Millisecond
