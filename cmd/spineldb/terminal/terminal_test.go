package terminal

import (
	"os"
	"path/filepath"
	"testing"
)

func TestPaint(t *testing.T) {
	if got := Brush(true).Paint(Good, "up"); got != "\x1b[32mup\x1b[0m" {
		t.Errorf("painted %q", got)
	}
	for _, got := range []string{Brush(false).Paint(Good, "up"), Brush(true).Paint(Plain, "up")} {
		if got != "up" {
			t.Errorf("not plain: %q", got)
		}
	}
	if got := Brush(true).Paint(Good, ""); got != "" {
		t.Errorf("nothing became %q", got)
	}
}

// A file is no terminal: it has no size and wants no colours.
func TestFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	if _, _, ok := Size(f); ok || WantsColour(f) {
		t.Error("a file passes for a terminal")
	}
}
