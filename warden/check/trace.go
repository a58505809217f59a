package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// trace tells how the state in which a promise broke came to be.
func (s *search) trace() []string {
	codes := []uint32{s.brokeAt.code}
	for at := s.brokeAt.parent; at != 0; at = s.from[at].parent {
		codes = append(codes, s.from[at].code)
	}
	slices.Reverse(codes)
	k := newWalker(s.e)
	lines := s.e.opening()
	// The states that were kept are those in which two Wardens may have changed
	// places; beside them goes the story in which nobody ever does.
	kept, changed := s.e.first(k.z), false
	real := kept.copy()
	if _, swapped := k.swap.first(&kept, kept.pack(nil)); swapped {
		k.swap.world(&real, &kept)
		changed = true
	}
	for i, c := range codes {
		told := c
		if changed {
			told = k.swap.code(c)
		}
		lines = append(lines, s.e.story(k, &real, told, i+1)...)
		real = k.follow(&real, told)
		kept = k.follow(&kept, c)
		if _, swapped := k.swap.first(&kept, kept.pack(nil)); swapped {
			was := kept.copy()
			k.swap.world(&was, &kept)
			changed = !changed
		}
	}
	return append(lines, "!       "+s.broken.Error())
}

// follow is the world that a move leads to.
func (k *walker) follow(s *world, code uint32) world {
	var after world
	k.emit = func(c uint32, next *world, _ *Violation) {
		if c == code {
			after = next.copy()
		}
	}
	k.walk(s)
	return after
}

func (s *world) copy() world {
	c := *s
	c.items = slices.Clone(s.items)
	return c
}

// opening says how a world begins.
func (e *engine) opening() []string {
	c := e.scope
	text := "a, the first primary, is gone"
	if c.Alive {
		text = "a, the first primary, serves"
	}
	r := firstRegister()
	lines := []string{"        All Wardens hold " + topologyText(&r.Chosen) + "; " + text + "; b and c follow it."}
	for w := range int8(wardenCount) {
		if c.Alive || !c.blind(w) {
			says := "finds a down"
			if !c.blind(w) {
				says = "sees a well"
			}
			lines = append(lines, fmt.Sprintf("        %s %s.", wardenIDs[w], says))
		}
	}
	return lines
}

// story tells one step: what happens to whom, and what that one does.
func (e *engine) story(k *walker, n *world, code uint32, number int) []string {
	m, kind := uncode(code)
	ev := event{kind: kind, item: m.item}
	who, what := string(wardenIDs[max(m.w, 0)]), ""
	toWarden := true
	switch m.kind {
	case moveEvent:
		ev.item = 0
		what = map[eventKind]string{stands: "its turn comes", expires: "its attempt, or its lease, is over",
			waits: "time goes by, less than its lease", dies: "dies", starts: "starts again, from what is on its disk"}[kind]
	case moveDeliver:
		what = e.itemText(e.items.get(m.item))
	default:
		toWarden = false
		x := e.items.get(m.item)
		who = x.action.Node.Host()
		order := fmt.Sprintf("%s of %s in epoch %d", orderText(&x.action), wardenIDs[x.from], x.action.Epoch)
		what = map[moveKind]string{moveObey: "gets " + order, moveForget: "gets " + order + "; the answer is lost", moveRefuse: "refuses " + order,
			moveGiveUp: order + " is late: nobody waits for it any more"}[m.kind]
	}
	lines := []string{fmt.Sprintf("%4d %s  %s", number, who, what)}
	if !toWarden {
		return lines
	}
	var said []string
	r := e.compute(k.z, m.w, e.minds.get(n.minds[m.w]), ev, e.places.get(n.nodes), func(s string) { said = append(said, s) })
	for _, s := range said {
		if name, _, _ := strings.Cut(s, " "); telling(name) {
			lines = append(lines, "          "+s)
		}
	}
	for i := range r.deeds {
		switch d := &r.deeds[i]; d.kind {
		case sends:
			x := e.items.get(d.item)
			lines = append(lines, fmt.Sprintf("          to %s: %s", wardenIDs[x.to], messageText(&x.message)))
		case orders:
			x := e.items.get(d.item)
			lines = append(lines, fmt.Sprintf("          to %s: %s", x.action.Node.Host(), orderText(&x.action)))
		}
	}
	return lines
}

// telling reports whether an announcement adds something to the messages.
func telling(name string) bool {
	return !slices.Contains([]string{"+new-epoch", "+vote-for-leader", "+slave", "+sdown", "+odown", "-odown", "-sdown", "role-change", "-role-change",
		"+role-change", "+sentinel", "+try-failover", "+selected-slave", "-config-ignored"}, name) && !strings.HasPrefix(name, "+failover-state")
}

func (e *engine) itemText(x *item) string {
	if x.kind == isMessage {
		return fmt.Sprintf("hears %s: %s", x.message.From, messageText(&x.message))
	}
	text := fmt.Sprintf("%s: %s", orderText(&x.action), x.answer.Result.Outcome)
	if x.answer.Result.Why != "" {
		text += " (" + x.answer.Result.Why + ")"
	}
	if o := x.answer.Observation; o.Role != "" {
		text += fmt.Sprintf(", says it is a %s", o.Role)
	}
	return text
}

func orderText(a *warden.Action) string {
	switch a.Kind {
	case warden.ActFollow:
		return fmt.Sprintf("the order that %s follow %s", a.Node.Host(), a.Target.Host())
	case warden.ActPromote:
		return fmt.Sprintf("the order that %s be primary", a.Node.Host())
	case warden.ActClaim:
		return "the claim on " + a.Node.Host()
	}
	return fmt.Sprintf("the order %s of %s", a.Kind, a.Node.Host())
}

func topologyText(t *warden.Topology) string {
	if t.IsZero() {
		return "nothing"
	}
	text := fmt.Sprintf("%s {%s, %s", t.Version, t.Phase, t.Primary.Host())
	if t.Previous != "" {
		text += " after " + t.Previous.Host()
	}
	return text + "}"
}

func messageText(m *warden.Message) string {
	switch {
	case m.Ask != nil:
		return fmt.Sprintf("asks for a vote in epoch %d (%s %s)", m.Ask.Epoch, m.Ask.Reason, m.Ask.Primary.Host())
	case m.Vote != nil && m.Vote.Granted:
		return fmt.Sprintf("votes for it in epoch %d; newest known: %s", m.Vote.Epoch, topologyText(&m.Vote.Newest))
	case m.Vote != nil:
		return fmt.Sprintf("denies its vote in epoch %d", m.Vote.Epoch)
	case m.Propose != nil:
		return "proposes " + topologyText(&m.Propose.Topology)
	case m.Accept != nil && m.Accept.OK:
		text := "accepts " + m.Accept.Version.String()
		if m.Accept.Down {
			text += ", finds the old primary down"
		}
		return text
	case m.Accept != nil:
		return "does not accept " + m.Accept.Version.String()
	case m.Learn != nil:
		return "tells that it is chosen: " + topologyText(&m.Learn.Topology)
	}
	return m.Kind()
}
