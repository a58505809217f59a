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

// awaitPromotion waits for a promotion that somebody before us has ordered and
// the server has not finished. Ending his session does not stop it, and until
// it is over the server looks like a standby that was never told: whoever
// believed that would promote another one beside it.
func (s *session) awaitPromotion(ctx context.Context) error {
	under, err := s.promotes(ctx)
	if err != nil || !under {
		return err
	}
	if err := s.awaitPrimary(ctx); err != nil {
		return fmt.Errorf("a promotion ordered before is under way: %w", err)
	}
	return nil
}

// promotes reports whether a standby is being promoted. The order stands in a file
// until the process that replays takes it; from then on, and until the end of
// recovery, the server refuses to pause or resume replay. So it is told to do
// what it does already. What the role may not ask is taken for no.
func (s *session) promotes(ctx context.Context) (bool, error) {
	r, err := s.wire.one(ctx, `SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
		has_function_privilege('pg_stat_file(text, boolean)', 'EXECUTE'),
		has_function_privilege('pg_wal_replay_pause()', 'EXECUTE'), has_function_privilege('pg_wal_replay_resume()', 'EXECUTE')`)
	if err != nil || !r.yes(0) {
		return false, err
	}
	paused := r.yes(1)
	if r.yes(2) {
		file, err := s.wire.one(ctx, "SELECT (pg_stat_file('promote', true)).modification IS NOT NULL")
		if err != nil || file.yes(0) {
			return err == nil, err
		}
	}
	same, may := "SELECT pg_wal_replay_resume()", r.yes(4)
	if paused {
		same, may = "SELECT pg_wal_replay_pause()", r.yes(3)
	}
	if !may {
		return false, nil
	}
	_, err = s.wire.ask(ctx, same)
	if sqlState(err) == notPrerequisite {
		return true, nil
	}
	return false, err
}

// notPrerequisite is the state of a server that is not, or not any more, in the
// recovery that an order is for.
const notPrerequisite = "55000"
