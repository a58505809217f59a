package exit

import (
	"errors"
	"fmt"
	"testing"
)

// The code survives wrapping; an error without one is a refusal.
func TestCode(t *testing.T) {
	for want, err := range map[int]error{
		Done:        nil,
		Refused:     errors.New("no"),
		Usage:       fmt.Errorf("flags: %w", WrongUsage("%s is wrong", "x")),
		Unreachable: With(Unreachable, "nobody answers"),
		Unknown:     errors.Join(errors.New("also"), Silently(Unknown)),
	} {
		if got := Code(err); got != want {
			t.Errorf("%v ends with %d, want %d", err, got, want)
		}
	}
	if text := Silently(Refused).Error(); text != "" {
		t.Errorf("what was told already is told again: %q", text)
	}
}
