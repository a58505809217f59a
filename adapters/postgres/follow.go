package postgres

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// maxName is what application_name and slot names hold, in bytes.
const maxName = 63

// Follow makes a standby stream from primary, and waits a while for the stream
// to stand; if it does not, a note says so. A node that is a primary cannot be
// made a standby by SQL: it is fenced, and the note "needs-rejoin" says what is
// left to do. f.Avoid has no meaning here: a standby never takes a full copy by
// itself. Readers on a standby keep their sessions.
func (s *session) Follow(ctx context.Context, f warden.Following) warden.Result {
	primary := f.Primary
	s.adapter.learn(s.node, primary)
	if primary == s.node || primary.Host() == "" || primary.Port() == "0" {
		return refused(fmt.Errorf("follow: %s cannot follow %q", s.node, primary))
	}
	ctx, done, over := s.begin(ctx, "follow")
	if over != nil {
		return *over
	}
	defer done()
	set, err := s.settings(ctx)
	if err != nil {
		return refused(fmt.Errorf("follow %s: not ordered: %w", s.node, err))
	}
	if set.standby {
		return s.repoint(ctx, f, set)
	}
	return s.demote(ctx, primary)
}

// demote is Follow on a primary.
func (s *session) demote(ctx context.Context, primary warden.NodeID) warden.Result {
	notes, err := s.fence(ctx, primary)
	if err != nil {
		if res := s.verdict("fence", err); res.Outcome == warden.Refused {
			return res
		}
		return unknown(fmt.Errorf("fence %s: it may be fenced: %w", s.node, err))
	}
	return warden.Result{Outcome: warden.Done, Notes: append(notes, fmt.Sprintf("needs-rejoin: %s is fenced (read-only by default, sessions ended); "+
		"SQL cannot make a primary a standby: run pg_rewind or pg_basebackup, standby.signal and start it behind %s", s.node, primary))}
}

// repoint is Follow on a standby. A seal ends with it.
func (s *session) repoint(ctx context.Context, f warden.Following, set settings) warden.Result {
	have, err := set.upstream()
	if err == nil && f.Name != "" {
		err = s.adapter.restorable(have) // it will be sealed one day
	}
	if err == nil {
		err = set.free(upstreamInfo)
	}
	if err != nil {
		return refused(fmt.Errorf("follow %s: not ordered: %w", s.node, err))
	}
	s.wire.sealed = false
	slot, notes := s.adapter.prepareSlot(ctx, s.node, f.Primary)
	if f.Sync != nil {
		if err := s.writeRule(ctx, set, *f.Sync); err != nil {
			notes = append(notes, "not-ready: "+warden.DetailOf(err))
			f.Sync = nil
		}
	}
	text := s.adapter.streamFrom(have, s.node, f).String()
	if res := s.verdict("follow", s.set(ctx, upstreamInfo, text)); res.Outcome != warden.Done {
		return res
	}
	if err := s.setSlot(ctx, slot, set.slot); err != nil {
		notes = append(notes, "slot-failed: "+warden.DetailOf(err))
	}
	if err := s.openAgain(ctx, set); err != nil {
		notes = append(notes, "seal-left: "+warden.DetailOf(err))
	}
	if err := s.reload(ctx); err != nil {
		return unknown(fmt.Errorf("follow %s: primary_conninfo is written and takes effect at the next reload: %w", s.node, err))
	}
	notes = append(notes, s.awaitStream(ctx, f)...)
	if f.Sync != nil && !set.inForce(*f.Sync) {
		if err := s.enforce(ctx, set, *f.Sync); err != nil {
			notes = append(notes, "not-ready: "+warden.DetailOf(err))
		}
	}
	if !s.adapter.opts.NoSlots {
		notes = append(notes, s.dropSlots(ctx)...)
	}
	return warden.Result{Outcome: warden.Done, Notes: notes}
}

// streamFrom is the connection string of node for streaming: what it has, with
// the address changed and with what the options say. It calls itself by its
// member's name, else by its address, which then tells where it listens.
func (a *Adapter) streamFrom(have conninfo, node warden.NodeID, f warden.Following) conninfo {
	o := a.opts
	name := cmp.Or(f.Name, string(node))
	if len(name) > maxName {
		name = "" // rather none than a part of one
	}
	c := have.with("hostaddr", "").with("host", f.Primary.Host()).with("port", f.Primary.Port()).with("application_name", name)
	for _, s := range []setting{
		{"user", o.ReplicationUser}, {"password", o.ReplicationPassword}, {"passfile", o.ReplicationPassfile}, {"sslmode", o.SSLMode},
	} {
		if s.value != "" {
			c = c.with(s.key, s.value)
		}
	}
	return c
}

// streamAgain is between two nudges of a standby whose receiver has failed: by
// itself it tries again after wal_retrieve_retry_interval, 5 s by default, and
// commits may wait for it.
const streamAgain = 100 * time.Millisecond

// awaitStream waits for the stream from the primary, and says so if it does not
// come. The receiver of the old one may go on, under its old name, while replay is
// paused or slow.
func (s *session) awaitStream(ctx context.Context, f warden.Following) []string {
	wait, cancel := context.WithTimeout(ctx, s.adapter.opts.FollowWait)
	defer cancel()
	why, nudged := "", time.Now()
	for {
		// The statements have the caller's time: if one ended early, so would the session.
		var streams bool
		var err error
		if streams, why, err = s.streams(ctx, f); streams {
			return nil
		}
		if err == nil && why == noReceiver && time.Since(nudged) >= streamAgain {
			nudged = time.Now()
			err = s.reload(ctx)
		}
		if err != nil {
			why = warden.DetailOf(err)
			break
		}
		if pause(wait, lookAgain) != nil {
			break
		}
	}
	return []string{fmt.Sprintf("not-streaming: %s is set to follow %s, but does not stream from it yet: %s", s.node, f.Primary, why)}
}

const noReceiver = "no receiver runs"

// streams reports whether the standby streams from whom it should, by the name
// that it should have, and if not why.
func (s *session) streams(ctx context.Context, f warden.Following) (yes bool, why string, err error) {
	rows, err := s.wire.ask(ctx, "SELECT status, sender_host, sender_port, conninfo || ' ' FROM pg_stat_wal_receiver")
	if err != nil {
		return false, "", err
	}
	if len(rows) != 1 {
		return false, noReceiver, nil
	}
	status, from := rows[0].text(0), makeNode(rows[0].text(1), int(rows[0].number(2)))
	if status != "streaming" || from != f.Primary {
		return false, fmt.Sprintf("its receiver is %s from %s", status, from), nil
	}
	for _, form := range []string{"application_name=%s ", "application_name='%s' "} { // the server writes either
		if f.Name == "" || strings.Contains(rows[0].text(3), fmt.Sprintf(form, f.Name)) {
			return true, "", nil
		}
	}
	return false, "its receiver has not taken its new name yet", nil
}

// Slots. Each standby has one physical slot of ours on its upstream, so that
// the upstream keeps the WAL it still needs.

const slotPrefix = "warden_"

// slotName names the slot of a standby: its address in the few letters that
// slot names may have, and a checksum, because different addresses could
// look alike.
func slotName(node warden.NodeID) string {
	sum := fnv.New32a()
	sum.Write([]byte(node))
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(string(node)))
	tail := fmt.Sprintf("_%08x", sum.Sum32())
	return slotPrefix + plain[:min(len(plain), maxName-len(slotPrefix)-len(tail))] + tail
}

// prepareSlot makes the slot of node on primary, and drops slots of ours there
// that nobody uses and that hold too much. Without a slot the standby streams
// all the same, so a failure is a note and the name is empty.
func (a *Adapter) prepareSlot(ctx context.Context, node, primary warden.NodeID) (slot string, notes []string) {
	if a.opts.NoSlots {
		return "", nil
	}
	slot = slotName(node)
	w, err := a.dial(ctx, primary, dialing{name: markPrefix + "slots", writes: true})
	if err == nil {
		defer w.close()
		// One that has lost WAL, or was given up as idle (18), lets nobody in any more.
		_, err = w.ask(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
			WHERE slot_name = $1 AND NOT active AND wal_status = 'lost'`, slot)
	}
	if err == nil {
		_, err = w.ask(ctx, `SELECT pg_create_physical_replication_slot($1, true)
			WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`, slot)
	}
	if err != nil {
		return "", []string{fmt.Sprintf("slot-failed: no slot for %s on %s: %s", node, primary, warden.DetailOf(err))}
	}
	_, err = w.ask(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
		WHERE NOT active AND slot_type = 'physical' AND starts_with(slot_name, $1) AND slot_name <> $2 AND NOT pg_is_in_recovery()
		AND (wal_status = 'lost' OR pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn) > $3::bigint)`, slotPrefix, slot, strconv.FormatInt(a.opts.SlotRetain, 10))
	if err != nil {
		notes = append(notes, "slot-kept: "+warden.DetailOf(err))
	}
	return slot, notes
}

// setSlot writes primary_slot_name. A name that is not ours is an operator's
// choice; it is for another upstream, so it goes too when we have none.
func (s *session) setSlot(ctx context.Context, slot, have string) error {
	switch {
	case s.adapter.opts.NoSlots || slot == have:
		return nil
	case slot == "":
		return s.set(ctx, "primary_slot_name", "")
	}
	return s.set(ctx, "primary_slot_name", slot)
}

// dropSlots drops the unused slots of ours on this standby: it made them as a
// primary, and here they would hold WAL for ever.
func (s *session) dropSlots(ctx context.Context) []string {
	_, err := s.wire.ask(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
		WHERE NOT active AND slot_type = 'physical' AND starts_with(slot_name, $1)`, slotPrefix)
	if err != nil {
		return []string{"slot-kept: " + warden.DetailOf(err)}
	}
	return nil
}
