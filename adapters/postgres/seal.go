package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spineldb/warden/warden"
)

var _ warden.Keeper = (*session)(nil)

// A sealed standby receives from nobody, so it can acknowledge nothing. That
// primary_conninfo is ” does not make it so: the receiver that runs goes on
// until the process that replays comes to ask for more WAL and ends it. That may
// be never, while replay is paused, delayed or held up by a reader. And an empty
// pg_stat_wal_receiver does not show it either: a receiver that is starting, or
// trying to connect, is not listed there.
//
// What shows it is the process that replays ("startup"). It alone starts
// receivers, it ends the one that runs before it waits to try again, and it says
// that it waits so. All that is left to prove is that it knows the new setting,
// and it does when it has confirmed a pause of the replay: it reads changed
// settings before that. Together they make one look enough. Where the pause
// cannot be had (version 13, or no permission), two looks apart must do.
const (
	// apart is between the two looks, where they are needed.
	apart = 100 * time.Millisecond
	// stuckAfter is how long replay may stand still before readers are taken to
	// hold it up; a conflict that the server itself names is believed at once.
	stuckAfter = 200 * time.Millisecond
	// endAgain is between two attempts to end readers.
	endAgain = 100 * time.Millisecond
)

// Seal makes a standby receive from nobody. It resumes replay, takes away its
// delay, and ends readers that hold it up. See warden.Keeper.
func (s *session) Seal(ctx context.Context) warden.Result {
	ctx, done, over := s.begin(ctx, "seal")
	if over != nil {
		return *over
	}
	defer done()
	set, err := s.settings(ctx)
	if err == nil && !set.standby {
		err = errors.New("it is a primary")
	}
	if err == nil {
		err = set.free(upstreamInfo, applyDelay)
	}
	have, bad := set.upstream()
	if err == nil {
		err = bad
	}
	if err == nil {
		err = s.adapter.restorable(have)
	}
	if err == nil {
		err = s.keep(ctx, set, have)
	}
	if err != nil {
		return refused(fmt.Errorf("seal %s: not ordered: %w", s.node, err))
	}
	if text, found := set.file[upstreamInfo]; !found || text != "" {
		if res := s.verdict("seal", s.set(ctx, upstreamInfo, "")); res.Outcome != warden.Done {
			return res
		}
	}
	notes, err := s.close(ctx)
	if err != nil {
		return unknown(fmt.Errorf("seal %s: ordered, but it still receives or may again: %w", s.node, err))
	}
	s.wire.sealed = true
	return warden.Result{Outcome: warden.Done, Notes: notes}
}

// keep writes down what the seal will take, and takes the delay of replay.
func (s *session) keep(ctx context.Context, set settings, have conninfo) error {
	kept, found := set.closed()
	delayed := set.delay != "0"
	if found && (kept.Delayed || !delayed) {
		return nil // sealed before, or half so
	}
	if !found || set.conninfo != "" {
		kept.Conninfo = have.with("password", "").String()
	}
	if delayed {
		kept.Delayed = true
		if text, found := set.file[applyDelay]; found {
			kept.Delay = &text
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := s.set(ctx, sealedSetting, string(text)); err != nil || !delayed {
		return err
	}
	return s.set(ctx, applyDelay, "0")
}

// close makes the changed settings known and waits until the receiver is gone
// and cannot come again.
func (s *session) close(ctx context.Context) (notes []string, err error) {
	if err := s.reloadUntil(ctx, upstreamInfo, ""); err != nil {
		return nil, err
	}
	w, err := s.awaitNew(ctx, upstreamInfo, "")
	if err != nil {
		return nil, err
	}
	w.close()
	c := closing{session: s, why: "its receiver was not looked at"}
	for {
		sealed, err := c.look(ctx)
		if sealed {
			return c.notes, nil
		}
		if err == nil {
			err = pause(ctx, lookAgain)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.why, err)
		}
	}
}

// closing is a standby whose receiver is about to end.
type closing struct {
	*session
	proved   bool // it knows that it has nobody to receive from
	noProof  bool // that cannot be asked here
	goneAt   time.Time
	replayed string
	movedAt  time.Time
	endedAt  time.Time
	spared   string // sessions that could not be ended
	notes    []string
	why      string
}

// look looks once, and moves what stands in the way.
func (c *closing) look(ctx context.Context) (sealed bool, err error) {
	r, err := c.wire.one(ctx, `SELECT pg_is_in_recovery(), coalesce((SELECT max(wait_event) FROM pg_stat_activity WHERE backend_type = 'startup'), ''),
		(SELECT coalesce(max(wait_event_type), '') FROM pg_stat_activity WHERE backend_type = 'startup'),
		(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walreceiver'), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
		pg_last_wal_replay_lsn()::text`)
	if err != nil {
		return false, err
	}
	if !r.yes(0) {
		return false, errors.New("it has become a primary")
	}
	now := time.Now()
	if waits, receivers := r.text(1), r.number(3); waits != waitRetry || receivers > 0 {
		c.goneAt = time.Time{}
		c.why = fmt.Sprintf("%d receivers run, and replay waits for %q%s", receivers, waits, c.spared)
		return false, c.clear(ctx, r, now)
	}
	if c.goneAt.IsZero() {
		c.goneAt = now
	}
	if c.proved || c.noProof && now.Sub(c.goneAt) >= apart {
		return true, nil
	}
	c.why = "it has not confirmed that it knows"
	return false, c.prove(ctx)
}

// clear moves what keeps the process that replays from ending the receiver: a
// pause, or readers.
func (c *closing) clear(ctx context.Context, r row, now time.Time) error {
	if r.yes(4) {
		if _, err := c.wire.ask(ctx, "SELECT pg_wal_replay_resume()"); err != nil {
			return fmt.Errorf("resume replay: %w", err)
		}
		if len(c.notes) == 0 {
			c.notes = append(c.notes, "replay-resumed: replay was paused on "+string(c.node))
		}
		return nil
	}
	if at := r.text(5); at != c.replayed {
		c.replayed, c.movedAt = at, now
	}
	// Conflicts with locks and pins are named so; those with snapshots by events
	// of their own, since version 14.
	kind, event := r.text(2), r.text(1)
	conflict := kind == "Lock" || kind == "BufferPin" || event == "RecoveryConflictSnapshot" || event == "RecoveryConflictTablespace"
	if !conflict && now.Sub(c.movedAt) < stuckAfter || now.Sub(c.endedAt) < endAgain {
		return nil
	}
	c.endedAt = now
	notes, err := c.terminate(ctx, "backend_xmin IS NOT NULL OR xact_start IS NOT NULL")
	c.spared = ""
	for _, n := range notes {
		c.spared = " (" + n + ")"
	}
	return err
}

// proof pauses replay until that is confirmed or some time has passed, and
// resumes it, all on the server: a Warden that dies leaves no pause behind.
const proof = `DO $$
DECLARE rounds int := 0;
BEGIN
	PERFORM pg_wal_replay_pause();
	WHILE pg_get_wal_replay_pause_state() <> 'paused' AND rounds < 20 LOOP
		PERFORM pg_sleep(0.001);
		rounds := rounds + 1;
	END LOOP;
	PERFORM set_config('warden.knows', pg_get_wal_replay_pause_state(), false);
	PERFORM pg_wal_replay_resume();
END $$`

// prove finds out whether the process that replays has read the new settings. It
// is asked while it waits to try again, when it confirms at once.
func (c *closing) prove(ctx context.Context) error {
	if c.noProof {
		return nil
	}
	if version, err := strconv.Atoi(majorVersion(c.wire.conn)); err != nil || version < 14 {
		c.noProof = true
		return nil
	}
	_, err := c.wire.ask(ctx, proof)
	if state := sqlState(err); state != "" && !fatal(err) {
		c.noProof = true // no permission, or the language was dropped
		return nil
	}
	if err != nil {
		return err
	}
	r, err := c.wire.one(ctx, "SELECT current_setting('warden.knows') = 'paused'")
	if err != nil {
		return err
	}
	c.proved = r.yes(0)
	return nil
}
