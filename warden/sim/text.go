package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

func itoa(n uint64) string { return strconv.FormatUint(n, 10) }

// short is a node's name without its port.
func short(id warden.NodeID) string { return id.Host() }

func sortedIDs(ids []warden.WardenID) []warden.WardenID {
	slices.Sort(ids)
	return ids
}

// nameOf is the name a Warden has in this world.
func (w *World) nameOf(id warden.WardenID) string {
	if p := w.process(id); p != nil {
		return p.name
	}
	return id.Short()
}

// names lists Wardens by name.
func (w *World) names(ids []warden.WardenID) string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = w.nameOf(id)
	}
	return strings.Join(out, ",")
}

// topologyText says a topology in one line.
func (w *World) topologyText(t warden.Topology) string {
	if t.IsZero() {
		return "none"
	}
	text := fmt.Sprintf("%s %s %s", t.Version, t.Phase, short(t.Primary))
	if t.Previous != "" {
		text += " after " + short(t.Previous)
	}
	if t.Settings.Paused {
		text += " paused"
	}
	if t.Reason == warden.ReasonSettings {
		text += fmt.Sprintf(" settings %d", t.Settings.Revision)
	}
	for _, set := range t.Sync {
		text += " [" + syncText(set) + "]"
	}
	return text + fmt.Sprintf(" (%s, by %s, wardens %s)", t.Reason, w.nameOf(t.Leader), w.names(t.Wardens))
}

// messageText says a message of note in words; "" for the small talk.
func (w *World) messageText(m *warden.Message) string {
	switch {
	case m.Ask != nil:
		return fmt.Sprintf("asks for a vote in epoch %d (%s of %s)", m.Ask.Epoch, m.Ask.Reason, short(m.Ask.Primary))
	case m.Vote != nil && m.Vote.Granted:
		return fmt.Sprintf("votes for it in epoch %d, newest known: %s", m.Vote.Epoch, w.topologyText(m.Vote.Newest))
	case m.Vote != nil:
		return fmt.Sprintf("denies epoch %d: %s", m.Vote.Epoch, m.Vote.Why)
	case m.Propose != nil:
		return "proposes " + w.topologyText(m.Propose.Topology)
	case m.Accept != nil && m.Accept.OK:
		return "accepts " + m.Accept.Version.String() + sees(m.Accept.Down)
	case m.Accept != nil:
		return "does not accept " + m.Accept.Version.String() + because(m.Accept.Why)
	case m.Learn != nil:
		return "tells it is chosen: " + m.Learn.Topology.Version.String()
	}
	return ""
}

func sees(down bool) string {
	if down {
		return ", sees the primary down"
	}
	return ""
}

// tellSent reports messages to a conversation: equal ones in one line.
func (w *World) tellSent(p *process, sent []group.Envelope) {
	if w.tell == nil && w.trace == nil {
		return
	}
	for i := range sent {
		text := w.messageText(&sent[i].Message)
		if text == "" {
			continue
		}
		to, first := []string{}, true
		for k := range sent {
			if w.messageText(&sent[k].Message) == text {
				first = first && k >= i
				to = append(to, w.nameOf(sent[k].To))
			}
		}
		if first {
			w.say(p.name, "to %s: %s", strings.Join(to, ","), text)
		}
	}
}

// traceEvent writes down what a process is about to think about.
func (w *World) traceEvent(p *process, e group.Event) {
	switch e := e.(type) {
	case group.Tick:
	case group.Looked:
		o := e.Observation
		w.note(p.name, "< sees %s %s %s of %s at %d link %v, %s/%s", short(e.Node), o.Health, o.Role, short(o.Upstream), o.Position, o.LinkUp, o.Lineage, o.LineageBefore)
	case group.Heard:
		m := e.Message
		text := w.messageText(&m)
		if text == "" {
			text = m.Kind()
			if m.Status != nil {
				text = fmt.Sprintf("status chosen %s serves %s %v", m.Status.Chosen, short(m.Status.Primary), m.Status.Opinions)
			}
		}
		w.note(p.name, "< hears %s: %s", w.nameOf(m.From), text)
	case group.ActionDone:
		w.note(p.name, "< action %d ended: %s %s", e.ID, e.Result.Outcome, e.Result.Why)
	default:
		w.note(p.name, "< %T %v", e, e)
	}
}

// syncText says a sync set in short: how many of whom.
func syncText(s warden.SyncSet) string {
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = short(m.Node)
	}
	return itoa(uint64(s.K)) + " of " + strings.Join(names, ",")
}
