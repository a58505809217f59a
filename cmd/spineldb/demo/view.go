package demo

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/warden"
)

// More tones, for the demo only.
const (
	accent  terminal.Tone = "36"
	goodTag terminal.Tone = "1;32"
	badTag  terminal.Tone = "1;31"
)

// span is text of one tone, row a line of the screen.
type (
	span struct {
		tone terminal.Tone
		text string
	}
	row []span
)

// width is how many cells a row takes. Only characters of one cell are used.
func (r row) width() int {
	n := 0
	for _, s := range r {
		n += utf8.RuneCountInString(s.text)
	}
	return n
}

// to fills a row with blanks up to a width, or cuts it.
func (r row) to(width int) row {
	if have := r.width(); have < width {
		return append(r[:len(r):len(r)], span{terminal.Plain, strings.Repeat(" ", width-have)})
	}
	return r.cut(width)
}

// cut is the part of a row that fits.
func (r row) cut(width int) row {
	var out row
	for _, s := range r {
		n := utf8.RuneCountInString(s.text)
		if n > width {
			out = append(out, span{s.tone, string([]rune(s.text)[:max(width, 0)])})
			break
		}
		out, width = append(out, s), width-n
	}
	return out
}

// text is the row for a terminal.
func (r row) text(b terminal.Brush, width int) string {
	var s strings.Builder
	for _, part := range r.cut(width) {
		s.WriteString(b.Paint(part.tone, part.text))
	}
	return s.String()
}

// Sizes of the layout, in cells.
const (
	wideEnough = 112 // nodes and Wardens beside one another
	tallEnough = 30  // the strip is higher
	leastStory = 3   // lines of the story that are always shown
)

// layOut lays a picture out for a terminal of this size.
func layOut(p picture, width, height int) []row {
	width = max(width, 20)
	rows := head(p, width)
	nodes := titled("NODES", "", nodeRows(p))
	wardens := titled("WARDENS", "", wardenRows(p))
	if width >= wideEnough {
		left := width/2 - 1
		nodes, wardens = ruled(nodes, left), ruled(wardens, width-left-2)
		for i := range nodes {
			rows = append(rows, append(append(nodes[i].to(left), span{terminal.Plain, "  "}), wardens[i]...))
		}
	} else {
		rows = append(rows, ruled(nodes, width)...)
		rows = append(rows, row{})
		rows = append(rows, ruled(wardens, width)...)
	}
	rows = append(rows, row{})
	stripHeight := 2
	if height >= tallEnough {
		stripHeight = 4
	}
	rows = append(rows, ruled(titled("WRITES", writesNote(p), strip(p, width-2, stripHeight)), width)...)
	rows = append(rows, row{})
	switch room := height - len(rows) - 2 - leastStory - 1; {
	case len(p.hint) > 0 && room < 2:
		rows[2] = row{{accent, "   " + p.hint[0]}} // the stages are over
	case len(p.hint) > 0:
		var lines []row
		for _, line := range p.hint[:min(room, len(p.hint))] {
			lines = append(lines, row{{accent, " " + line}})
		}
		rows = append(rows, ruled(titled("YOUR TURN", "Ctrl-C ends it", lines), width)...)
		rows = append(rows, row{})
	}
	room := max(height-len(rows)-1, leastStory)
	return append(rows, ruled(titled("EVENTS", "times since "+p.zeroName, storyRows(p, room)), width)...)
}

// head is the title and the sentence that says what is going on.
func head(p picture, width int) []row {
	title := row{{terminal.Bold, " spineldb demo"}, {terminal.Faint, "  three Wardens watch three nodes"}}
	facts := fmt.Sprintf("engine %s, down_after %s, %4.1fs ", p.engine, p.downAfter, p.now.Sub(p.began).Seconds())
	if gap := width - title.width() - len(facts); gap > 1 {
		title = append(title, span{terminal.Plain, strings.Repeat(" ", gap)}, span{terminal.Faint, facts})
	}
	t := accent
	switch {
	case !p.marks[markKill].IsZero() && p.marks[markFirstWrite].IsZero():
		t = badTag
	case !p.marks[markFirstWrite].IsZero():
		t = goodTag
	}
	return []row{title, {{t, " ▶ " + p.headline}}, stages(p, width), {}}
}

// stages shows how far the failover is, with the milliseconds since the kill.
func stages(p picture, width int) row {
	r := row{{terminal.Plain, "   "}}
	kill := p.marks[markKill]
	for k, name := range [marks]string{"kill", "SDOWN", "ODOWN", "votes", "decision", "promotion", "first write"} {
		t, sign, text := terminal.Faint, "○ ", name
		if at := p.marks[k]; !at.IsZero() {
			t, sign = terminal.Good, "● "
			if mark(k) != markKill && width >= wideEnough {
				text += fmt.Sprintf(" %d", at.Sub(kill).Milliseconds())
			}
		}
		if mark(k) == markKill && t == terminal.Good {
			t = terminal.Bad
		}
		r = append(r, span{t, sign + text}, span{terminal.Plain, "  "})
	}
	return r
}

// titled is a block under a title; its first row is drawn as a rule by ruled.
func titled(title, note string, rows []row) []row {
	first := row{{terminal.Faint, "── "}, {terminal.Bold, title}}
	if note != "" {
		first = append(first, span{terminal.Faint, "  " + note})
	}
	return append([]row{append(first, span{terminal.Plain, " "})}, rows...)
}

// ruled completes the first row of such a block to a line across.
func ruled(rows []row, width int) []row {
	if gap := width - rows[0].width() - 1; gap > 0 {
		rows[0] = append(rows[0], span{terminal.Faint, strings.Repeat("─", gap)})
	}
	return rows
}

func nodeRows(p picture) []row {
	var rows []row
	for _, n := range p.nodes {
		r := row{nodeSign(p, n), {terminal.Bold, n.name}, {terminal.Faint, fmt.Sprintf("  %-15s  ", n.addr)}}
		rows = append(rows, append(r, nodeWords(p, n)...))
	}
	for len(rows) < castSize {
		rows = append(rows, row{})
	}
	return rows
}

// nodeSign is the mark before a node.
func nodeSign(p picture, n nodeState) span {
	switch {
	case n.dead || n.down >= 2:
		return span{badTag, " ✗ "}
	case !n.seen:
		return span{terminal.Faint, " ○ "}
	case n.addr == p.primary:
		return span{goodTag, " ★ "}
	case n.down > 0:
		return span{terminal.Warn, " ● "}
	}
	return span{terminal.Good, " ● "}
}

// nodeWords are the role, what is unusual, and the position.
func nodeWords(p picture, n nodeState) row {
	o := n.view.Observation
	role, state := span{terminal.Plain, "replica of " + p.nameOf(o.Upstream)}, span{}
	switch {
	case n.dead && n.addr == p.primary:
		return row{{terminal.Bad, fmt.Sprintf("%-14s", "primary")}, {badTag, "killed"}}
	case n.dead:
		return row{{terminal.Bad, fmt.Sprintf("%-14s", "was primary")}, {badTag, "killed"}}
	case !n.seen:
		return row{{terminal.Faint, "starting"}}
	case n.addr == p.primary:
		role = span{goodTag, "primary"}
	case o.Role == warden.RolePrimary:
		role, state = span{terminal.Warn, "old primary"}, span{terminal.Warn, "to be demoted"}
	case o.Syncing:
		state = span{terminal.Warn, "copying"}
	case !o.LinkUp:
		state = span{terminal.Warn, "link down"}
	}
	if n.down > 0 {
		state = span{terminal.Bad, fmt.Sprintf("down for %d of %d", n.down, len(p.wardens))}
	}
	r := row{{role.tone, fmt.Sprintf("%-14s", role.text)}, {terminal.Faint, fmt.Sprintf("at %11s  ", grouped(o.Position))}}
	return append(r, state)
}

// grouped prints a number with blanks between its thousands.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + " " + text[i:]
	}
	return text
}

func wardenRows(p picture) []row {
	var rows []row
	for _, w := range p.wardens {
		r := row{{terminal.Good, " ● "}, {terminal.Bold, w.name}, {terminal.Faint, fmt.Sprintf("  %-15s  ", w.addr)}}
		if !w.heard {
			r[0] = span{terminal.Faint, " ○ "}
			rows = append(rows, append(r, span{terminal.Faint, "starting"}))
			continue
		}
		if w.view.Leading {
			r[0] = span{accent, " ◆ "}
		}
		rows = append(rows, append(r, opinionOf(p, w)...))
	}
	for len(rows) < castSize {
		rows = append(rows, row{})
	}
	return rows
}

// opinionOf is what a Warden thinks of its primary, and whether it leads.
func opinionOf(p picture, w wardenState) row {
	if w.view.Provisional {
		return row{{terminal.Warn, "looks for the others"}}
	}
	name := p.nameOf(w.view.Primary)
	says := row{{terminal.Good, fmt.Sprintf("%s is up", name)}}
	for _, v := range w.view.Nodes {
		switch {
		case v.Node != w.view.Primary:
		case v.Odown:
			says = row{{badTag, fmt.Sprintf("%s is DOWN: %d of %d agree", name, v.Agreeing, len(p.wardens))}}
		case v.Down:
			says = row{{terminal.Bad, name + " is down"}}
		case v.WaitingFor > warden.Duration(p.downAfter/4) || v.AnsweredAgo > warden.Duration(p.downAfter/4) && v.Disconnected:
			says = row{{terminal.Warn, name + " does not answer"}}
		}
	}
	says = says.to(24)
	says = append(says, span{terminal.Faint, fmt.Sprintf("  epoch %d ", w.view.Promise)})
	if w.view.Leading {
		says = append(says, span{accent, " leads"})
	}
	return says
}

// storyRows are the last lines of the story.
func storyRows(p picture, room int) []row {
	all := inOrder(p.moments)
	var rows []row
	for _, m := range all[max(0, len(all)-room):] {
		rows = append(rows, row{{terminal.Faint, fmt.Sprintf(" %10s  ", since(m.since))}, {terminal.Bold, fmt.Sprintf("%-6s  ", m.who)}, {m.tone, m.text}})
	}
	return rows
}

// writesNote counts the writes.
func writesNote(p picture) string {
	rate := 0
	// The newest bucket is not full yet.
	if n := len(p.buckets); n >= 2 {
		if at := int(p.now.Sub(p.began)/bucketSpan) - p.dropped; at-n < 2 {
			rate = p.buckets[n-2].acked * bucketsPerSecond
		}
	}
	note := fmt.Sprintf("%4d a second, %s acknowledged", rate, grouped(int64(p.acked)))
	if failed := p.failed + p.unknown; failed > 0 {
		note += fmt.Sprintf(", %s tried in vain", grouped(int64(failed)))
	}
	return note
}
