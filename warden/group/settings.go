package group

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
)

// Effective is the configuration that a group runs with: the given one, in which
// what the Wardens have agreed on counts. It is c itself where nothing is agreed.
func Effective(c *Config, s *State) *Config {
	agreed := &s.el.Reg.Chosen.Settings
	if !agreed.Tune() {
		return c
	}
	if x := &s.tuned; x.file == c && x.load == c.Load && x.agreed.Equal(agreed) {
		return x.config
	}
	return tuned(c, agreed)
}

// tuning is a configuration that was derived, and from what: it is the same for
// thousands of Steps.
type tuning struct {
	file   *Config // not changed in place without another Load
	load   uint64
	agreed warden.Settings
	config *Config
}

// tuned lays agreed settings over a configuration. This is the only place where
// the two meet. What a file says of a time goes with the agreed ones as far as the
// rules between them ask for it.
func tuned(file *Config, agreed *warden.Settings) *Config {
	if !agreed.Tune() {
		return file
	}
	c := *file
	if agreed.Quorum > 0 {
		c.Quorum = agreed.Quorum
	}
	if agreed.DownAfter > 0 {
		c.DownAfter = agreed.DownAfter
	}
	switch {
	case agreed.CrashAfter > 0:
		c.CrashAfter = agreed.CrashAfter
	case file.CrashAfter == file.DownAfter:
		c.CrashAfter = c.DownAfter // it was not set apart
	}
	if c.CrashAfter > 0 {
		c.CrashAfter = min(c.CrashAfter, c.DownAfter)
	}
	c.FailoverTimeout = max(c.FailoverTimeout, c.DownAfter)
	if agreed.MaxLag != 0 {
		c.MaxLag = max(agreed.MaxLag, 0)
	}
	c.Durable = agreed.Durable.Or(c.Durable)
	c.SyncStrict = agreed.SyncStrict.Or(c.SyncStrict)
	for _, t := range agreed.Tags {
		c.Tags = overlay(c.Tags, t)
	}
	return &c
}

// overlay returns a copy of the list in which one node's tags count.
func overlay(list []warden.NodeTags, t warden.NodeTags) []warden.NodeTags {
	out := slices.Clone(list)
	for i := range out {
		if out[i].Node == t.Node {
			out[i].Tags = t.Tags.Over(out[i].Tags)
			return out
		}
	}
	return append(out, t)
}

// retune takes in that other settings may be agreed than before.
func (p *step) retune() {
	p.c = Effective(p.file, p.s)
	switch {
	case p.c == p.file:
		p.s.tuned = tuning{}
	case p.c != p.s.tuned.config:
		p.s.tuned = tuning{file: p.file, load: p.file.Load, agreed: p.s.el.Reg.Chosen.Settings, config: p.c}
	}
}

// wished is what was seen of a node, with the operator's tags in it.
func wished(tags []warden.NodeTags, node warden.NodeID, seen *warden.Observation) *warden.Observation {
	if t := warden.TagsOf(tags, node); t != (warden.Tags{}) {
		o := t.Wish(*seen)
		return &o
	}
	return seen
}

// settingsWish turns the wish for other settings into a want, or says why not.
func (p *step) settingsWish(cmd warden.Command, t *warden.Topology) (w election.Want, code, text string) {
	have := t.Settings
	if cmd.Revision != nil && *cmd.Revision != have.Revision {
		return w, "changed", fmt.Sprintf("the settings are of revision %d by now, not %d: read them again", have.Revision, *cmd.Revision)
	}
	next, err := have.With(cmd.Items)
	if err != nil {
		var wrong *warden.SettingError
		if code = "usage"; errors.As(err, &wrong) {
			code = wrong.Code
		}
		return w, code, err.Error()
	}
	for _, i := range cmd.Items {
		if i.Node != "" && !i.Unset && p.s.mon.Find(i.Node) == nil {
			return w, "unknown-node", fmt.Sprintf("%s is not a node of this group: spineldb status shows them", i.Node)
		}
	}
	if code, text := p.unfitSettings(&next, t); code != "" {
		return w, code, text
	}
	same := next
	if same.Revision = have.Revision; same.Equal(&have) {
		return w, "done", "it was so already"
	}
	return election.Want{Reason: warden.ReasonSettings, Settings: &next}, "", ""
}

// unfitSettings says why settings must not be agreed on, as far as this Warden's
// own configuration and sight of the group go.
func (p *step) unfitSettings(next *warden.Settings, t *warden.Topology) (code, text string) {
	c := tuned(p.file, next)
	switch {
	case c.Quorum > len(t.Wardens) && c.Quorum != p.c.Quorum: // guard: S5
		return "quorum", fmt.Sprintf("quorum would be %d, and the list has %s: nothing but settings could be agreed any more", c.Quorum, plural(len(t.Wardens), "Warden"))
	case next.DownAfter > p.file.FailoverTimeout:
		return "usage", fmt.Sprintf("down_after would be %s, above failover_timeout (%s): a change would be given up before a lost candidate is noticed; raise failover_timeout in the configuration first", next.DownAfter, p.file.FailoverTimeout)
	case next.CrashAfter > c.DownAfter:
		return "usage", fmt.Sprintf("crash_after would be %s, above down_after (%s): it is the shorter limit, for refused connections", next.CrashAfter, c.DownAfter)
	case next.Durable == warden.Yes && !c.Keeps:
		return "not-settable", "synchronous_mode is for PostgreSQL: servers of the Redis protocol report a write as done before a replica has it; min-replicas-to-write bounds what is lost"
	case next.SyncStrict != warden.Unsaid && !c.Keeps:
		return "not-settable", "synchronous_mode_strict is for PostgreSQL, where synchronous_mode is on"
	}
	barred := func(n *monitor.Node) bool { return warden.TagsOf(c.Tags, n.ID).NoFailover == warden.Yes }
	if nodes := p.s.mon.Nodes; len(next.Tags) > 0 && len(nodes) > 0 && !slices.ContainsFunc(nodes, func(n *monitor.Node) bool { return !barred(n) }) {
		return "no-good-replica", "every node of the group would have nofailover, and there would never be a failover again: use pause, or leave one of them out"
	}
	return "", ""
}

// settingsNote is what an operator should know of settings that are agreed now.
func (p *step) settingsNote() string {
	t := &p.s.el.Reg.Chosen
	voters := 0
	for _, id := range t.Wardens {
		if p.mayVote(id) {
			voters++
		}
	}
	promotable := func(n *monitor.Node) bool {
		return n.ID != t.Primary && warden.TagsOf(p.c.Tags, n.ID).NoFailover != warden.Yes
	}
	switch {
	case voters < p.c.Quorum:
		return fmt.Sprintf("quorum is %d, and %s could vote now: there is no failover before that changes", p.c.Quorum, plural(voters, "Warden"))
	case len(p.s.mon.Nodes) > 1 && !slices.ContainsFunc(p.s.mon.Nodes, promotable):
		return "every replica has nofailover: there is no failover before that changes"
	}
	return ""
}

// settings are those in force, with where each comes from. What is not agreed is
// SourceFile here; who has read the file knows better.
func (p *step) settings() *warden.SettingsView {
	agreed := &p.s.el.Reg.Chosen.Settings
	v := &warden.SettingsView{Group: p.c.Group, Revision: agreed.Revision, Agreed: p.majorityHeard()}
	say := func(name, value string, isAgreed bool) {
		from := warden.SourceFile
		if isAgreed {
			from = warden.SourceAgreed
		}
		v.Settings = append(v.Settings, warden.SettingView{Name: name, Value: warden.SettingValue(value), Source: from})
	}
	c := p.c
	say("failover_paused", strconv.FormatBool(agreed.Paused), agreed.Paused)
	say("quorum", strconv.Itoa(c.Quorum), agreed.Quorum > 0)
	say("down_after", c.DownAfter.String(), agreed.DownAfter > 0)
	crash := c.CrashAfter
	if crash == 0 {
		crash = c.DownAfter
	}
	say("crash_after", crash.String(), agreed.CrashAfter > 0 || crash != p.file.CrashAfter && agreed.DownAfter > 0)
	say("synchronous_mode", strconv.FormatBool(c.Durable), agreed.Durable != warden.Unsaid)
	say("synchronous_mode_strict", strconv.FormatBool(c.SyncStrict), agreed.SyncStrict != warden.Unsaid)
	say("max_replication_lag", strconv.FormatInt(c.MaxLag, 10), agreed.MaxLag != 0)
	say("check_timeline", "true", false)
	say("failsafe_mode", "false", false)
	for _, t := range c.Tags {
		mine := warden.TagsOf(agreed.Tags, t.Node)
		sayTag := func(name, value string, isAgreed bool) {
			if value != "" && value != "0" {
				say(name, value, isAgreed)
				v.Settings[len(v.Settings)-1].Node = t.Node
			}
		}
		sayTag("nofailover", t.NoFailover.String(), mine.NoFailover != warden.Unsaid)
		sayTag("noloadbalance", t.NoLoadBalance.String(), mine.NoLoadBalance != warden.Unsaid)
		sayTag("nosync", t.NoSync.String(), mine.NoSync != warden.Unsaid)
		sayTag("failover_priority", strconv.Itoa(t.Priority), mine.Priority != 0)
		sayTag("replicatefrom", string(t.ReplicateFrom), false)
	}
	return v
}
