package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// configurePostgres reads what only groups of PostgreSQL are configured with:
// durable=K, the words strict, rejoin, fence and fence-required, group-size= and
// member-timeout=.
func configurePostgres(a words, config *group.Config) error {
	has := func(word string) bool { return slices.Contains(a.plain, word) }
	config.CommandTimeout, config.RejoinTimeout = 5*warden.Second, 5*warden.Second
	config.SyncStrict, config.RejoinCommand = has("strict"), has("rejoin")
	config.FenceCommand, config.FenceRequired = has("fence") || has("fence-required"), has("fence-required")
	for name, to := range map[string]*int{"durable": &config.SyncStandbys, "group-size": &config.SyncGroupSize} {
		if text := a.named[name]; text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			*to = n
		}
	}
	config.Durable = config.SyncStandbys > 0
	var err error
	config.MemberTimeout, err = a.duration("member-timeout", 10*warden.Second)
	return err
}

// replay stops or resumes the replay of a standby: replay b stops, or resumes.
// While it stands still the receiver outlives the setting.
func (c *Conversation) replay(a words) error {
	if len(a.plain) != 2 {
		return errors.New("write: replay NODE stops, or resumes")
	}
	s, err := c.server(a.plain[0])
	if err != nil {
		return err
	}
	s.pg.paused, s.pg.heldUp = a.plain[1] == "stops", a.plain[1] == "stops"
	return nil
}

// rebuild has an operator build a node anew as a standby of another, with the
// data of a third: rebuild b of=a from=c as=NAME.
func (c *Conversation) rebuild(a words) error {
	s, err := c.onlyServer(a)
	if err != nil {
		return err
	}
	from, err := c.server(a.named["from"])
	if err != nil {
		return err
	}
	s.crash()
	if !s.remakeFrom(from) {
		return fmt.Errorf("%s cannot be copied", from.name)
	}
	s.upstream, s.pg.member = node(a.named["of"]), a.named["as"]
	return nil
}

// slow has a reload of settings take effect late in the parts of a server:
// slow a 2s.
func (c *Conversation) slow(a words) error {
	if len(a.plain) != 2 {
		return errors.New("write: slow NODE DURATION")
	}
	s, err := c.server(a.plain[0])
	if err != nil {
		return err
	}
	s.pg.slow, err = parseDuration(a.plain[1])
	return err
}

// cancel cancels the commits that wait on a node, as drivers do when a caller
// gives up. The server acknowledges them, with a warning (H4).
func (c *Conversation) cancel(a words) error {
	return c.withServer(a, func(s *server) {
		for i := range c.world.clients {
			if x := &c.world.clients[i]; x.at == s && x.waits != 0 {
				c.hear(s.name, fmt.Sprintf("acknowledges the commit at %d with a warning: it may not be on any standby", x.waits))
				x.waits = 0
			}
		}
	})
}
