package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// tuned is how many worlds there are to one with an operator who changes settings.
// He has a chance of his own, so that all other worlds are what they were.
const tuned = 6

// tuneSometimes lets an operator change settings until the storm is over.
func (w *World) tuneSometimes(seed uint64, until warden.Instant) {
	rng := rand.New(rand.NewPCG(seed, 0x5e77165))
	if rng.IntN(tuned) != 0 {
		return
	}
	var next func()
	next = func() {
		if w.now >= until {
			return
		}
		p := w.processes[rng.IntN(len(w.processes))]
		if items := w.drawSettings(rng); p.up {
			w.give(p, warden.Command{Wish: warden.WishConfigure, Items: items})
		}
		w.after(warden.Duration(1+rng.IntN(8000))*warden.Millisecond, next)
	}
	w.after(warden.Duration(rng.IntN(10000))*warden.Millisecond, next)
}

// drawSettings draws one to three wishes, some of which will be refused.
func (w *World) drawSettings(rng *rand.Rand) (items []warden.SettingItem) {
	yesNo := func() string { return strconv.FormatBool(rng.IntN(2) == 0) }
	for range 1 + rng.IntN(3) {
		i := warden.SettingItem{Unset: rng.IntN(4) == 0}
		switch rng.IntN(8) {
		case 0:
			// With 1 the list could shrink to one Warden, who agrees with himself
			// several times within one step: the ledger sees only the last.
			i.Name, i.Value = "quorum", strconv.Itoa(2+rng.IntN(len(w.processes)))
		case 1:
			i.Name, i.Value = "down_after", strconv.Itoa(500+rng.IntN(3000))+"ms"
		case 2:
			i.Name, i.Value = "crash_after", strconv.Itoa(200+rng.IntN(1000))+"ms"
		case 3:
			i.Name, i.Value = "max_replication_lag", strconv.Itoa(rng.IntN(3)*1000)
		case 4:
			i.Name, i.Value = []string{"synchronous_mode", "synchronous_mode_strict"}[rng.IntN(2)], yesNo()
		default:
			i.Node = w.servers[rng.IntN(len(w.servers))].id
			if i.Name = warden.SettingNames(true)[rng.IntN(4)]; i.Name == "failover_priority" {
				i.Value = strconv.Itoa(1 + rng.IntN(199))
			} else {
				i.Value = yesNo()
			}
		}
		items = append(items, i)
	}
	return items
}

// untune takes back what was agreed at run time, as far as that is allowed.
func (w *World) untune(begin warden.Instant) {
	if t := w.check.ledger.newest(^warden.Epoch(0)); t != nil && t.Settings.Tune() {
		var items []warden.SettingItem
		for _, name := range warden.SettingNames(false) {
			if name != "failover_paused" {
				items = append(items, warden.SettingItem{Name: name, Unset: true})
			}
		}
		for _, tags := range t.Settings.Tags {
			for _, name := range warden.SettingNames(true) {
				items = append(items, warden.SettingItem{Node: tags.Node, Name: name, Unset: true})
			}
		}
		w.give(w.anyProcess(), warden.Command{Wish: warden.WishConfigure, Items: items})
	}
	if w.now.Sub(begin) < settled/2 {
		w.after(warden.Second, func() { w.untune(begin) })
	}
}

// checkSettings checks that settings change by their own steps only, one revision
// at a time, and that nobody is chosen to be promoted whom they exclude.
func (l *ledger) checkSettings(p *process, e *entry) {
	if e.parent == nil {
		return
	}
	t, from := &e.topology, &e.parent.topology
	l.tuned = l.tuned || t.Settings.Quorum > 0
	switch t.Reason {
	case warden.ReasonSettings, warden.ReasonPause, warden.ReasonUnpause:
		if had, now := from.Settings.Revision, t.Settings.Revision; now != had+1 && !t.Settings.Equal(&from.Settings) {
			l.world.fail("settings", "%s changes settings of revision %d to %d in %s", p.name, had, now, t.Version)
		}
	default:
		if !t.Settings.Equal(&from.Settings) {
			l.world.fail("settings", "%s changes settings in %s (%s)", p.name, t.Version, t.Reason)
		}
	}
	promotes := t.Phase == warden.PhasePromoting && (from.Phase != warden.PhasePromoting || from.Primary != t.Primary)
	if promotes && warden.TagsOf(t.Settings.Tags, t.Primary).NoFailover == warden.Yes {
		l.world.fail("S7", "%s proposes to promote %s, which has nofailover", p.name, short(t.Primary))
	}
}

// settings reads the wishes of the verb command.
func (a words) settings(cmd *warden.Command) error {
	for _, kind := range []string{"set", "unset"} {
		for _, text := range a.list(kind) {
			item, err := settingItem(text, kind == "unset")
			if err != nil {
				return err
			}
			cmd.Items = append(cmd.Items, item)
		}
	}
	if text := a.named["revision"]; text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return fmt.Errorf("read revision: %w", err)
		}
		cmd.Revision = &n
	}
	return nil
}

// settingItem reads a wish for a setting: name:value, and a/name:value for a node.
func settingItem(text string, unset bool) (warden.SettingItem, error) {
	name, value, _ := strings.Cut(text, ":")
	of, tag, isTag := strings.Cut(name, "/")
	if isTag {
		name = string(node(of)) + "/" + tag
	}
	if unset {
		return warden.ParseSettingItem(name, true)
	}
	return warden.ParseSettingItem(name+"="+value, false)
}

// settings prints what each Warden runs with that is agreed.
func (c *Conversation) settings(words) error {
	for _, p := range c.world.processes {
		if !p.up {
			c.out = append(c.out, p.name+" is down")
			continue
		}
		_, f := group.Step(p.config, *p.state, group.Commanded{Command: warden.Command{Wish: warden.WishSettings}}, p.clock())
		v := f.Answers[0].Answer.Settings
		text := fmt.Sprintf("%s revision %d:", p.name, v.Revision)
		for _, s := range v.Settings {
			if s.Source != warden.SourceAgreed {
				continue
			}
			if text += " "; s.Node != "" {
				text += short(s.Node) + "/"
			}
			text += s.Name + "=" + string(s.Value)
		}
		c.out = append(c.out, text)
	}
	return nil
}
