package main

import (
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: where an operator went back to Redis Sentinel, its id is listed once: as
// that of the Sentinel, and no more as that of the Warden that had it.
func TestReplacedWardenIsListedOnce(t *testing.T) {
	peers := []warden.PeerView{{ID: idA}, {ID: idB, Sentinel: idC}, {ID: "other", Sentinel: "shown"}}
	for _, id := range []warden.WardenID{idA, idC} {
		got := withoutReplaced(append([]warden.PeerView{}, peers...), []warden.PeerView{{ID: id, Real: true}})
		for _, p := range got {
			if p.ID == id || p.Sentinel == string(id) {
				t.Errorf("%s is still listed: %+v", id, got)
			}
		}
		if len(got) != 2 {
			t.Errorf("%d are left: %+v", len(got), got)
		}
	}
	if got := withoutReplaced(peers, []warden.PeerView{{ID: idB, Real: true}}); len(got) != 3 {
		t.Errorf("one that is known by another id was left out: %+v", got)
	}
}
