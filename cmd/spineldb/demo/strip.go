package demo

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spineldb/warden/cmd/spineldb/terminal"
)

// strip draws the rate of acknowledged writes as columns, the newest at the
// right, and below it what happened where.
func strip(p picture, width, height int) []row {
	end := int(p.now.Sub(p.began)/bucketSpan) - p.dropped // the newest is not full yet
	first := max(0, end-width)
	most := 1
	for _, b := range p.buckets[min(first, len(p.buckets)):] {
		most = max(most, b.acked)
	}
	rows := make([]row, 0, height+1)
	for level := height - 1; level >= 0; level-- {
		r := row{{terminal.Plain, " "}}
		for i := first; i < end; i++ {
			var b bucket
			if i < len(p.buckets) {
				b = p.buckets[i]
			}
			r = r.add(column(b, most, level, height))
		}
		rows = append(rows, r)
	}
	return append(rows, flagRow(p, first, end, width))
}

// column is one cell of the strip: of a bucket's column, at a level above the
// ground.
func column(b bucket, most, level, height int) span {
	const eighths = " ▁▂▃▄▅▆▇█"
	full := b.acked * height * 8 / most
	if b.acked > 0 {
		full = max(full, 1)
	}
	part := min(max(full-8*level, 0), 8)
	switch {
	case part > 0:
		return span{accent, string([]rune(eighths)[part])}
	case level == 0 && b.failed > 0:
		return span{terminal.Bad, "×"}
	case level == 0:
		return span{terminal.Faint, "·"}
	}
	return span{terminal.Plain, " "}
}

// add appends a span, joined to the last one if it has the same tone.
func (r row) add(s span) row {
	if n := len(r); n > 0 && r[n-1].tone == s.tone {
		r[n-1].text += s.text
		return r
	}
	return append(r, s)
}

// flagRow names the places in the strip. Of two that would overlap the older
// one stays.
func flagRow(p picture, first, end, width int) row {
	r := row{{terminal.Plain, " "}}
	used := 0
	for _, f := range p.flags {
		at := int(f.at.Sub(p.began)/bucketSpan) - p.dropped - first
		text := "▲ " + f.text
		if at < used || at >= end-first || at < 0 {
			continue
		}
		n := utf8.RuneCountInString(text)
		// At the right edge the words stand before the mark.
		if at+n > width {
			text = f.text + " ▲"
			if at-n+1 < used {
				continue
			}
			at -= n - 1
		}
		r = append(r, span{terminal.Plain, strings.Repeat(" ", at-used)}, span{f.tone, text})
		used = at + n + 1
		r = append(r, span{terminal.Plain, " "})
	}
	return r
}

// bucketsPerSecond is how many columns a second takes.
const bucketsPerSecond = int(time.Second / bucketSpan)
