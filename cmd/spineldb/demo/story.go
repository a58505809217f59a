package demo

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// tales turns the Wardens' events into lines of the story and into marks.
type tales struct {
	model *model

	mu sync.Mutex
	// told are the happenings that every Warden reports and one line tells.
	told map[string]bool
}

func newTales(m *model) *tales { return &tales{model: m, told: map[string]bool{}} }

// tale is how one event is told.
type tale struct {
	mark mark
	tone terminal.Tone
	// text is a sentence; %s stands for the node the event is about. Empty:
	// nothing is told.
	text string
	// once: the first Warden's report stands for all.
	once bool
}

// taleOf is how an event of this name is told.
func taleOf(name string) (tale, bool) {
	t, ok := map[string]tale{
		"+first-agreement":                   {noMark, terminal.Good, "all Wardens agree: %s is the primary", true},
		"+odown":                             {markOdown, terminal.Bad, "enough Wardens say so: %s is down (ODOWN)", false},
		"-odown":                             {noMark, terminal.Plain, "", false},
		"-sdown":                             {noMark, terminal.Plain, "%s answers again", false},
		"+try-failover":                      {noMark, terminal.Plain, "asks the others for their votes", false},
		"+elected-leader":                    {markVotes, terminal.Bold, "leads: a majority gave it their votes", false},
		"+selected-slave":                    {noMark, terminal.Plain, "chooses %s, which has the most data", false},
		"+failover-state-send-slaveof-noone": {markDecision, terminal.Bold, "a majority has the decision for %s on disk", false},
		"+promoted-slave":                    {markPromotion, terminal.Good, "%s has been promoted, and says so itself", false},
		"+slave-reconf-sent":                 {noMark, terminal.Plain, "tells %s to follow the new primary", false},
		"+slave-reconf-done":                 {noMark, terminal.Good, "%s follows the new primary", true},
		"+convert-to-slave":                  {noMark, terminal.Warn, "tells %s to become a replica", false},
		"+needs-rejoin":                      {noMark, terminal.Warn, "%s is fenced: a primary of PostgreSQL becomes a standby by its disk only", true},
		"+rejoin-started":                    {noMark, terminal.Plain, "runs rejoin_command for %s", false},
		"+rejoin-done":                       {noMark, terminal.Good, "rejoin_command has ended for %s", false},
		"+tilt":                              {noMark, terminal.Warn, "its own clock stumbled: it holds back (TILT)", false},
		"-tilt":                              {noMark, terminal.Plain, "", false},
		"-failover-abort-not-elected":        {noMark, terminal.Warn, "got too few votes; another turn comes", false},
		"-not-elected":                       {noMark, terminal.Plain, "", false},
		"-leader-lost":                       {noMark, terminal.Plain, "", false},
		"+paused":                            {noMark, terminal.Warn, "paused: nothing will be changed", true},
		"+resumed":                           {noMark, terminal.Plain, "the pause has ended", true},
	}[name]
	return t, ok
}

// silent are events that say nothing new to a spectator.
func silent(name string) bool {
	switch name {
	case "+new-epoch", "+monitor", "+sentinel", "+slave", "+warden-joined", "+role-change", "-role-change", "+reboot",
		"+config-update-from", "+fix-slave-config", "+slave-reconf-inprog", "+failover-end", "-order-note":
		return true
	}
	return strings.HasPrefix(name, "+failover-state-") && name != "+failover-state-send-slaveof-noone"
}

// hear takes in one event. Its Warden field carries the Warden's name.
func (t *tales) hear(h remote.Event) {
	at := time.UnixMilli(h.UnixMS)
	who := string(h.Warden)
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.model.picture()
	words := strings.Fields(h.Payload)
	about := p.nameOf(subject(words))
	switch h.Event {
	case "+sdown":
		t.sdown(at, who, subject(words), p)
		return
	case "+vote-for-leader":
		if len(words) == 2 {
			whom := p.wardenNamed(warden.WardenID(words[0]))
			if whom == who {
				whom = "itself"
			}
			t.model.say(at, who, "votes for "+whom+" in epoch "+words[1], terminal.Plain)
		}
		return
	case "+switch-master":
		t.switched(at, words, p)
		return
	}
	tale, known := taleOf(h.Event)
	switch {
	case !known && silent(h.Event), known && tale.text == "":
		return
	case !known && h.Level != warden.LevelWarning:
		return
	case !known:
		t.model.say(at, who, wording.Shown(h.Event+" "+h.Payload), terminal.Warn)
		return
	case tale.once && t.before(h.Event+about, at):
		return
	}
	text := tale.text
	if strings.Contains(text, "%s") {
		text = fmt.Sprintf(text, about)
	}
	if tale.once {
		who = ""
	}
	t.model.reach(tale.mark, at)
	t.model.say(at, who, text, tale.tone)
}

// before reports whether the same was told within the last second or so; many
// Wardens report one thing at almost the same time.
func (t *tales) before(what string, at time.Time) bool {
	key := what + at.Truncate(2*time.Second).String()
	near := what + at.Add(-time.Second).Truncate(2*time.Second).String()
	was := t.told[key] || t.told[near]
	t.told[key] = true
	return was
}

func (t *tales) sdown(at time.Time, who string, node warden.NodeID, p picture) {
	text := fmt.Sprintf("no answer from %s for %s: down, for me (SDOWN)", p.nameOf(node), p.downAfter)
	if node != p.primary {
		t.model.say(at, who, text, terminal.Plain)
		return
	}
	t.model.reach(markSdown, at)
	t.model.say(at, who, text, terminal.Warn)
}

// switched tells that clients are sent elsewhere: words are the group, the old
// primary and the new one.
func (t *tales) switched(at time.Time, words []string, p picture) {
	if len(words) != 5 || t.before("switch"+words[4], at) {
		return
	}
	node := warden.NodeID(net.JoinHostPort(words[3], words[4]))
	t.model.say(at, "", "clients are told: "+p.nameOf(node)+" is the primary", terminal.Good)
}

// subject is the node an event is about: "TYPE NAME HOST PORT ...".
func subject(words []string) warden.NodeID {
	if len(words) < 4 {
		return ""
	}
	return warden.NodeID(net.JoinHostPort(words[2], words[3]))
}
