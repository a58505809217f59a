// Package terminal knows what the terminal behind a file can show: its colours
// and its size.
package terminal

import "os"

// Tone is what a piece of text means; a colour on a terminal, nothing else.
type Tone string

// Tones, as the numbers that colour a terminal's text.
const (
	Plain Tone = ""
	Good  Tone = "32"
	Warn  Tone = "33"
	Bad   Tone = "31"
	Faint Tone = "2"
	Bold  Tone = "1"
)

// Brush paints text if it is true.
type Brush bool

// Paint is the text in a tone, or as it was.
func (b Brush) Paint(t Tone, s string) string {
	if !b || t == Plain || s == "" {
		return s
	}
	return "\x1b[" + string(t) + "m" + s + "\x1b[0m"
}

// WantsColour reports whether f is a terminal whose user has not asked for
// plain text (https://no-color.org).
func WantsColour(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 &&
		os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
