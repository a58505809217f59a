package shell

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spineldb/warden/warden"
)

// Reconfigure makes the given groups the ones that run: new ones are added,
// missing ones removed, the others go on in their state with their new
// configuration. It happens as a whole or, with an error, not at all. The
// register of a removed group stays on disk, marked as left.
func (s *Shell) Reconfigure(ctx context.Context, groups []GroupOptions) error {
	if err := s.env.check(groups); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running || s.stopped {
		return errors.New("reconfigure shell: it is not running")
	}
	have := s.roster.Load().loops
	var fresh, kept []GroupOptions
	gone := maps.Clone(have)
	for _, g := range groups {
		if have[g.Config.Group] == nil {
			fresh = append(fresh, g)
		} else {
			kept = append(kept, g)
			delete(gone, g.Config.Group)
		}
	}
	added, err := s.prepare(fresh)
	if err != nil {
		return fmt.Errorf("reconfigure, nothing was changed: %w", err)
	}
	if err := s.leave(ctx, gone); err != nil {
		return fmt.Errorf("reconfigure, nothing was changed: %w", err)
	}
	s.enter(added)
	for _, g := range kept {
		l := have[g.Config.Group]
		g.Config = s.env.complete(g.Config, l.shown.Load().config.NewBirth)
		l.replace(change{config: g.Config, adapter: g.Adapter, commands: g.Commands})
	}
	return nil
}

// Readdress changes what others are told from the next hello on: AnnounceHost
// and ClientPort of the Options.
func (s *Shell) Readdress(announceHost string, clientPort int) {
	s.env.told.Store(&told{announceHost, clientPort})
}

// replace leaves a change for the loop, in place of one it has not seen yet.
// It is called under Shell.mu.
func (l *loop) replace(c change) {
	select {
	case <-l.changes:
	default:
	}
	l.changes <- c
}

// leave stops groups and marks their registers. If one cannot be marked, the
// marks are taken back as far as they came, and the groups run again.
func (s *Shell) leave(ctx context.Context, gone map[warden.GroupName]*loop) error {
	if len(gone) == 0 {
		return nil
	}
	rest := maps.Clone(s.roster.Load().loops)
	maps.DeleteFunc(rest, func(name warden.GroupName, _ *loop) bool { return gone[name] != nil })
	s.roster.Store(newRoster(rest))
	before, err := s.stopAndMark(ctx, gone)
	if err == nil {
		return nil
	}
	return errors.Join(err, s.revive(gone, before))
}

// stopAndMark stops loops, then writes "left" into their registers, and
// returns those registers as they were. The loops have to stand first, because
// each saves its register as a whole.
func (s *Shell) stopAndMark(ctx context.Context, gone map[warden.GroupName]*loop) (map[warden.GroupName]warden.Register, error) {
	before := map[warden.GroupName]warden.Register{}
	if err := stopAll(ctx, slices.Collect(maps.Values(gone))); err != nil {
		return before, err
	}
	for name, l := range gone {
		reg, err := s.env.Store.Load(name)
		if err != nil {
			return before, fmt.Errorf("mark group %q as left: %w", name, err)
		}
		// Noted before it is written: a write that failed may be on disk.
		before[name] = reg
		left := reg.Clone()
		left.Left = true
		if err := s.env.Store.SaveRegister(name, left); err != nil {
			return before, fmt.Errorf("mark group %q as left: %w", name, err)
		}
		s.retired.Add(l.inbox.lost())
	}
	return before, nil
}

// revive runs groups again after a removal that failed, with the registers
// they had before. A group whose loop still hangs in the store or whose
// register cannot be written back stays away, which is safe, and is named in
// the error: two loops of one group never run at once.
func (s *Shell) revive(gone map[warden.GroupName]*loop, before map[warden.GroupName]warden.Register) error {
	var errs []error
	for name, l := range gone {
		select {
		case <-l.done:
		default:
			errs = append(errs, fmt.Errorf("resume group %q: its loop still waits for the store: restart this Warden", name))
			continue
		}
		if reg, marked := before[name]; marked {
			if err := s.env.Store.SaveRegister(name, reg); err != nil {
				errs = append(errs, fmt.Errorf("resume group %q: %w: mend the store and restart this Warden", name, err))
				continue
			}
		}
		loops, err := s.prepare([]GroupOptions{{Config: *l.shown.Load().config, Adapter: l.watch.current(), Commands: l.orders.instructed()}})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		s.enter(loops)
	}
	return errors.Join(errs...)
}
