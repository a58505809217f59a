package main

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// paint colours text if the output is a terminal.
func (p *program) paint(t terminal.Tone, s string) string {
	return terminal.Brush(p.colour).Paint(t, s)
}

// cell is one entry of a table.
type cell struct {
	text string
	tone terminal.Tone
}

func plain(s string) cell { return cell{text: s} }

// columns lays rows out in aligned columns, two blanks apart and two in.
// Colours are added after measuring.
func (p *program) columns(rows [][]cell) string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(wording.Shown(c.text)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := "  "
		for i, c := range row {
			text := wording.Shown(c.text)
			line += p.paint(c.tone, text)
			if i < len(row)-1 {
				line += strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+2)
			}
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// age prints how long ago something was, to a tenth of a second below ten.
func age(d warden.Duration) string {
	switch t := time.Duration(d); {
	case t < 0:
		return "never"
	case t < 10*time.Second:
		return t.Round(100 * time.Millisecond).String()
	case t < time.Hour:
		return t.Round(time.Second).String()
	default:
		return t.Round(time.Minute).String()
	}
}
