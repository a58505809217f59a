package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spineldb/warden/warden"
)

// What a primary waits for is synchronous_standby_names, but showing it proves
// little. Whether commits wait at all is a flag that the checkpointer sets when
// it comes to it; and each process that streams releases waiting commits by the
// names that it has read itself. So a change is done when a checkpoint that was
// asked for after it is over (needed only where nothing was waited for before),
// and when everybody who counts has acknowledged a record written after it.

// Wait makes a primary wait by the last of the rules. See warden.Keeper.
func (s *session) Wait(ctx context.Context, rules []warden.SyncRule) warden.Result {
	ctx, done, over := s.begin(ctx, "wait")
	if over != nil {
		return *over
	}
	defer done()
	set, err := s.settings(ctx)
	if err == nil && set.standby {
		err = errors.New("it is a standby: it is told with Follow and Promote")
	}
	if err == nil && len(rules) == 0 {
		err = errors.New("no rule is given")
	}
	if err != nil {
		return refused(fmt.Errorf("wait on %s: not ordered: %w", s.node, err))
	}
	return s.waitBy(ctx, set, rules)
}

// waitBy is Wait on a node that takes it.
func (s *session) waitBy(ctx context.Context, set settings, rules []warden.SyncRule) warden.Result {
	rule := rules[len(rules)-1]
	before, err := s.releasers(ctx, rules)
	if err == nil {
		err = s.mayArm(ctx, set, rule)
	}
	if err != nil {
		return refused(fmt.Errorf("wait on %s: not ordered: %w", s.node, err))
	}
	if res := s.verdict("wait", s.writeRule(ctx, set, rule)); res.Outcome != warden.Done {
		return res
	}
	if err := s.enforce(ctx, set, rule); err != nil {
		return unknown(fmt.Errorf("wait on %s: ordered, not confirmed: %w", s.node, err))
	}
	need := 0
	for _, given := range rules[:len(rules)-1] {
		if given.K > 0 {
			need = rule.K // its names may be all that hold a commit
		}
	}
	if err := s.confirm(ctx, rule, before, need); err != nil {
		return unknown(fmt.Errorf("wait on %s: ordered, not confirmed: %w", s.node, err))
	}
	return warden.Result{Outcome: warden.Done}
}

// inForce reports whether the node is known to wait by rule, and to be able to:
// nothing has to be ordered.
func (s settings) inForce(rule warden.SyncRule) bool {
	return s.names == rule.String() && s.file[waitNames] == s.names && (s.names == "" || s.file[armedSetting] != "")
}

// writeRule writes a rule to the file. Where nothing was or will be waited for,
// what was known of the flag is no longer.
func (s *session) writeRule(ctx context.Context, set settings, rule warden.SyncRule) error {
	if err := set.free(waitNames); err != nil {
		return err
	}
	want := rule.String()
	if set.names == "" || want == "" {
		if err := s.reset(ctx, armedSetting); err != nil {
			return err
		}
	}
	if have, found := set.file[waitNames]; found && have == want {
		return nil
	}
	return s.set(ctx, waitNames, want)
}

// enforce makes the rule in the file known to the whole server, and sees to it
// that commits wait.
func (s *session) enforce(ctx context.Context, set settings, rule warden.SyncRule) error {
	if set.names != rule.String() {
		if err := s.reload(ctx); err != nil {
			return err
		}
	}
	w, err := s.awaitNew(ctx, waitNames, rule.String())
	if err != nil {
		return err
	}
	defer w.close()
	if rule.K <= 0 || set.names != "" && set.file[armedSetting] != "" {
		return nil
	}
	return s.arm(ctx, w)
}

// arm has the checkpointer set its flag: it reads changed settings before it
// begins a checkpoint. That it has is written down, because a checkpoint can take
// long; a server that starts with the names sets the flag by itself. It runs on a
// connection of its own, so that a deadline does not end the order session; the
// server finishes it all the same.
func (s *session) arm(ctx context.Context, w *wire) error {
	if _, err := w.ask(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return s.set(ctx, armedSetting, "on")
}

// mayArm is an error if the role may not do what arming takes.
func (s *session) mayArm(ctx context.Context, set settings, rule warden.SyncRule) error {
	if rule.K <= 0 || set.names != "" && set.file[armedSetting] != "" {
		return nil
	}
	r, err := s.wire.one(ctx, `SELECT current_setting('is_superuser') = 'on' OR EXISTS (
		SELECT FROM pg_roles WHERE rolname = 'pg_checkpoint' AND pg_has_role(oid, 'USAGE'))`)
	if err == nil && !r.yes(0) {
		err = errors.New("the role may not CHECKPOINT: GRANT pg_checkpoint TO it (before version 15 it takes a superuser)")
	}
	return err
}

// releasers are the processes that may release commits by what was ordered so far.
func (s *session) releasers(ctx context.Context, rules []warden.SyncRule) (pids string, err error) {
	r, err := s.wire.one(ctx, `SELECT coalesce(array_agg(pid), '{}')::text FROM pg_stat_replication
		WHERE sync_priority > 0 OR lower(application_name) = ANY (SELECT lower(unnest($1::text[])))`, nameList(rules...))
	if err != nil {
		return "", fmt.Errorf("list standbys: %w", err)
	}
	return r.text(0), nil
}

// confirm writes a record and waits until everybody who may release commits has
// acknowledged it, or cannot release any more: who has read names without its
// own says priority 0, and releases nobody then. At least need of the rule's
// names have to have the record, and with it everything before.
func (s *session) confirm(ctx context.Context, rule warden.SyncRule, before string, need int) error {
	if rule.K <= 0 {
		return nil // whatever anybody has read, nothing is waited for
	}
	w, err := s.awaitNew(ctx, waitNames, rule.String())
	if err != nil {
		return err
	}
	defer w.close()
	r, err := w.one(ctx, "SELECT pg_logical_emit_message(true, 'warden', 'waits')::text")
	if err != nil {
		return fmt.Errorf("write a record: %w", err)
	}
	const open = `FROM pg_stat_replication
		WHERE (pid = ANY ($2::int[]) OR lower(application_name) = ANY (SELECT lower(unnest($3::text[]))))
		AND NOT (sync_priority = 0 AND lower(application_name) <> ALL (SELECT lower(unnest($3::text[]))))
		AND (flush_lsn IS NULL OR flush_lsn < $1::pg_lsn)`
	args := []string{r.text(0), before, nameList(rule)}
	const have = `(SELECT count(DISTINCT lower(application_name)) FROM pg_stat_replication
		WHERE lower(application_name) = ANY (SELECT lower(unnest($3::text[]))) AND flush_lsn >= $1::pg_lsn) >= $4::int`
	args = append(args, strconv.Itoa(need))
	if err := s.await(ctx, "SELECT NOT EXISTS (SELECT "+open+") AND "+have, args...); err != nil {
		return fmt.Errorf("not every standby that counts has acknowledged a record written since: %w", err)
	}
	return nil
}

// nameList are the names of rules as an array of the server.
func nameList(rules ...warden.SyncRule) string {
	text := "{"
	for _, r := range rules {
		for _, name := range r.Names {
			if len(text) > 1 {
				text += ","
			}
			text += strconv.Quote(name)
		}
	}
	return text + "}"
}

// ready puts a rule in place on a standby, where it does nothing yet: it must
// hold from its first commit on as a primary.
func (s *session) ready(ctx context.Context, set settings, rule warden.SyncRule) error {
	if set.inForce(rule) {
		return nil
	}
	if err := s.writeRule(ctx, set, rule); err != nil {
		return err
	}
	return s.enforce(ctx, set, rule)
}
