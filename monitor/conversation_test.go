package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/transcript"
)

// Paces of the conversations. Every node is looked at every 100 ms, and time
// passes in steps half as long.
const (
	beat  = 50 * warden.Millisecond
	paced = 100 * warden.Millisecond
)

// TestConversations plays testdata/*.txt with the mind of Warden w1. The verbs:
//
//	config   down-after= crash-after= life-limit= quorum= wardens= birth=
//	         primary= replicas= lineage= no-witness unconfirmed
//	         sentinel-life reboot-down-after=
//	node a   what a looks like from now on: good, silent, refused, loading,
//	         busy, denied or error; role=, of= (whom it follows), no-link, at=
//	         (position), grows= (per look), lineage=, before=, run=, empty,
//	         syncing
//	pass 3s  time goes by, with all looks in it
//	pause 3s this process stands still, and takes one step afterwards
//	back 1s  the clock jumps backwards
//	hears w2 a=down b=up, birth=, tilt: what another Warden says
//	beats a  for this long a answers only whether it lives, every 100 ms, and is not
//	         looked at; ago= since it was asked (0)
//	late a   an answer of this kind that was asked ago= comes in only now
//	show     the verdicts as they stand
//
// What is said: notes as they come, and what w1 tells when it changes its mind.
func TestConversations(t *testing.T) {
	transcript.Play(t, func() transcript.Listener {
		w := &watcher{now: warden.Instant(warden.Minute)}
		w.state = New(w.now)
		return w.listen
	})
}

// figure is how a node looks from outside.
type figure struct {
	id    warden.NodeID
	seen  warden.Observation
	grows int64
}

type watcher struct {
	config  Config
	state   State
	now     warden.Instant
	lookAt  warden.Instant
	figures []figure
	told    string
	out     []string
}

func (w *watcher) listen(words *transcript.Words) ([]string, error) {
	w.out = nil
	var err error
	switch words.Verb {
	case "config":
		w.configure(words)
	case "node":
		err = w.node(words)
	case "pass":
		var d warden.Duration
		d, err = words.NextTime()
		w.pass(d)
	case "pause":
		var d warden.Duration
		d, err = words.NextTime()
		w.now = w.now.Add(d)
		w.step(Tick{})
	case "back":
		var d warden.Duration
		d, err = words.NextTime()
		w.now = w.now.Add(-d)
		w.lookAt = w.now
		w.step(Tick{})
	case "hears":
		w.hears(words)
	case "beats":
		id := warden.NodeID(words.Next())
		var d, ago warden.Duration
		d, err = words.NextTime()
		words.Time("ago", &ago)
		for end := w.now.Add(d); w.now < end; {
			w.now = min(w.now.Add(paced), end)
			w.step(Beat{Node: id, Asked: w.now.Add(-ago)})
		}
		w.lookAt = w.now
	case "late":
		id := warden.NodeID(words.Next())
		var ago warden.Duration
		words.Time("ago", &ago)
		w.step(Looked{Node: id, Asked: w.now.Add(-ago), Observation: &warden.Observation{Health: warden.Health(words.Next())}})
	case "show":
		w.show()
	default:
		err = fmt.Errorf("no such verb")
	}
	return w.out, err
}

func (w *watcher) configure(words *transcript.Words) {
	c := &w.config
	if c.Self == "" {
		*c = Config{Self: "w1", Birth: "B1", Quorum: 2, Witness: true, Confirmed: true, Voters: []warden.WardenID{"w1", "w2", "w3"},
			DownAfter: 2 * warden.Second, LifeLimit: 10 * warden.Second, Lineage: []string{"L1"}}
	}
	words.Time("down-after", &c.DownAfter)
	c.CrashAfter = c.DownAfter
	words.Time("crash-after", &c.CrashAfter)
	words.Time("life-limit", &c.LifeLimit)
	transcript.Number(words, "quorum", &c.Quorum)
	transcript.List(words, "wardens", &c.Voters)
	transcript.Word(words, "birth", &c.Birth)
	transcript.List(words, "lineage", &c.Lineage)
	c.Witness = !words.Has("no-witness")
	c.SentinelLife = words.Has("sentinel-life")
	words.Time("reboot-down-after", &c.RebootDownAfter)
	c.Confirmed = !words.Has("unconfirmed")
	replicas := c.Nodes
	transcript.List(words, "replicas", &replicas)
	transcript.Word(words, "primary", &c.Primary)
	c.Nodes = append(slices.Clone(replicas), c.Primary)
	slices.Sort(c.Nodes)
	c.Nodes = slices.Compact(c.Nodes)
	for _, id := range c.Nodes {
		if w.figure(id) == nil {
			o := warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: c.Primary, LinkUp: true, Lineage: "L1", Position: 1000, Priority: 100, RunID: "r1"}
			if id == c.Primary {
				o.Role, o.Upstream, o.LinkUp = warden.RolePrimary, "", false
			}
			w.figures = append(w.figures, figure{id: id, seen: o})
		}
	}
}

func (w *watcher) figure(id warden.NodeID) *figure {
	for i := range w.figures {
		if w.figures[i].id == id {
			return &w.figures[i]
		}
	}
	return nil
}

func (w *watcher) node(words *transcript.Words) error {
	name := words.Next()
	f := w.figure(warden.NodeID(name))
	if f == nil {
		return fmt.Errorf("no node is called %q", name)
	}
	o := &f.seen
	for _, h := range []warden.Health{warden.HealthGood, warden.HealthSilent, warden.HealthRefused, warden.HealthLoading, warden.HealthBusy, warden.HealthDenied, warden.HealthError} {
		if words.Has(string(h)) {
			o.Health = h
		}
	}
	o.Empty, o.Syncing = words.Has("empty"), words.Has("syncing")
	transcript.Word(words, "role", &o.Role)
	if o.Role == warden.RolePrimary {
		o.Upstream = ""
	}
	transcript.Word(words, "of", &o.Upstream)
	o.LinkUp = o.Role == warden.RoleReplica && !words.Has("no-link")
	transcript.Number(words, "at", &o.Position)
	transcript.Word(words, "lineage", &o.Lineage)
	transcript.Word(words, "before", &o.LineageBefore)
	transcript.Word(words, "run", &o.RunID)
	transcript.Number(words, "grows", &f.grows)
	return nil
}

// pass lets time go by in beats, with a look at every node at its pace.
func (w *watcher) pass(d warden.Duration) {
	for end := w.now.Add(d); w.now < end; {
		w.now = min(w.now.Add(beat), end)
		w.step(Tick{})
		if w.now < w.lookAt {
			continue
		}
		w.lookAt = w.now.Add(paced)
		for i := range w.figures {
			f := &w.figures[i]
			f.seen.Position += f.grows
			o := f.seen
			if o.Health != warden.HealthGood {
				o = warden.Observation{Health: o.Health, Detail: "as told"}
			}
			w.step(Looked{Node: f.id, Asked: w.now, Observation: &o})
		}
	}
}

func (w *watcher) hears(words *transcript.Words) {
	e := Said{From: warden.WardenID(words.Next()), Birth: w.config.Birth, Tilt: words.Has("tilt")}
	transcript.Word(words, "birth", &e.Birth)
	for _, id := range w.config.Nodes {
		if v, ok := words.Value(string(id)); ok {
			e.Opinions = append(e.Opinions, warden.Opinion{Node: id, Down: v == "down"})
		}
	}
	w.step(e)
}

// step is one Step of the mind, and what it says.
func (w *watcher) step(e Event) {
	var f Effects
	w.state, f = Step(w.config, w.state, e, w.now)
	for _, n := range f.Notes {
		text := n.Name + " " + string(n.Node)
		if n.Extra != "" {
			text += "  " + n.Extra
		}
		if n.Name == "+sdown" {
			text += "  " + Why(&w.config, &w.state, w.state.Find(n.Node), w.now)
		}
		w.say(text)
	}
	told := tells(Opinions(&w.config, &w.state, nil))
	if told != w.told {
		w.told = told
		w.say("w1 tells: " + told)
	}
}

// tells is what an opinion says, without how long.
func tells(opinions []warden.Opinion) string {
	var parts []string
	for _, o := range opinions {
		text := string(o.Node) + " is up"
		switch {
		case o.Down && o.Crash:
			text = string(o.Node) + " is down, on hard evidence"
		case o.Down:
			text = string(o.Node) + " is down"
		case o.Role == "":
			text = string(o.Node) + " gives no answer and may live"
		case o.Role == warden.RoleReplica:
			text += ", a replica of " + string(o.Upstream)
		case !o.Lineage:
			text += ", with foreign data"
		}
		parts = append(parts, text)
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

func (w *watcher) say(text string) {
	since := int64(w.now) - int64(warden.Minute)
	w.out = append(w.out, fmt.Sprintf("%6.2fs  %s", float64(since)/float64(warden.Second), strings.TrimRight(text, " ")))
}

func (w *watcher) show() {
	for _, n := range w.state.Nodes {
		verdict := "up"
		switch {
		case n.Down:
			verdict = "subjectively down: " + Why(&w.config, &w.state, n, w.now)
		case n.SeenAt == 0:
			verdict = "up, never seen"
		}
		w.say(fmt.Sprintf("%s is %s", n.ID, verdict))
	}
	verdict := fmt.Sprintf("%d of %d say that %s is down", w.state.Agreeing, w.config.Quorum, w.config.Primary)
	if w.state.Odown {
		verdict += ": objectively down"
	}
	if w.state.Veto {
		verdict += ", and a replica vetoes"
	}
	if w.state.Tilt {
		verdict = "in TILT, no verdicts"
		if w.state.SaysDown(&w.config) {
			verdict += ", and says down all the same"
		}
	}
	w.say(verdict)
}
