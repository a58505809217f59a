package group

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: an event about another Warden that is heard before any node was looked
// at still names the primary, as subscribers split the payload into words.
func TestSentinelIsNamedWithThePrimary(t *testing.T) {
	h := newHouse(t, 1, nil)
	status := warden.Message{Group: "g", From: "w2", Run: 1, Status: &warden.Status{Client: "10.0.0.2:26379"}}
	_, f := Step(h.config[0], h.state[0], Heard{Message: status}, h.now)
	for _, e := range f.Announce {
		if e.Name == "+sentinel" {
			if want := "sentinel w2 10.0.0.2 26379 @ g a 1"; e.Payload != want {
				t.Errorf("payload %q, want %q", e.Payload, want)
			}
			return
		}
	}
	t.Errorf("no +sentinel among %v", f.Announce)
}
