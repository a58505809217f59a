package demo

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/terminal"
)

// frameEvery is how often the screen is drawn.
const frameEvery = 80 * time.Millisecond

// What a terminal is told. The last two make it show a frame as a whole; who
// does not know them ignores them.
const (
	screenEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l" // second screen, no cursor, no wrapping
	screenLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	screenClear = "\x1b[2J"
	lineRest    = "\x1b[K"
	screenRest  = "\x1b[J"
	frameBegin  = "\x1b[?2026h"
	frameEnd    = "\x1b[?2026l"
)

// showScreen draws the picture again and again until ctx ends, and leaves the
// terminal as it was. The size is asked for each time, so it may change.
func showScreen(ctx context.Context, out *os.File, m *model, b terminal.Brush) {
	_, _ = io.WriteString(out, screenEnter+screenClear)
	defer func() { _, _ = io.WriteString(out, screenLeave) }()
	ticker := time.NewTicker(frameEvery)
	defer ticker.Stop()
	lastWidth, lastHeight := 0, 0
	for {
		width, height, ok := terminal.Size(out)
		if !ok {
			return // the terminal has gone
		}
		start := frameBegin
		if width != lastWidth || height != lastHeight {
			start += screenClear
			lastWidth, lastHeight = width, height
		}
		if _, err := io.WriteString(out, start+frame(layOut(m.picture(), width, height), width, height, b)+frameEnd); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// frame is one whole screen. Every line is written over and its rest cleared,
// so that nothing flickers, and the cursor ends at the top, so that what
// somebody types cannot scroll the screen.
func frame(rows []row, width, height int, b terminal.Brush) string {
	var s strings.Builder
	s.WriteString(screenHome)
	for i, r := range rows[:min(len(rows), height)] {
		if i > 0 {
			s.WriteString("\r\n")
		}
		s.WriteString(r.text(b, width) + lineRest)
	}
	s.WriteString(screenRest + screenHome)
	return s.String()
}
