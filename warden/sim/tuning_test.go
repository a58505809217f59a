package sim

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Goal: the checks of settings see a step that changes them for another reason, one
// that passes over a revision, and a promotion of who is excluded; and they keep
// quiet about what is right.
func TestSettingsAreChecked(t *testing.T) {
	barred := warden.Settings{Revision: 1, Tags: []warden.NodeTags{{Node: "b:6379", Tags: warden.Tags{NoFailover: warden.Yes}}}}
	base := warden.Topology{Birth: "B", Version: warden.Version{Epoch: 1, Step: 1}, Phase: warden.PhaseDone, Primary: "a:6379"}
	for _, tt := range []struct {
		name   string
		before warden.Settings
		change func(*warden.Topology)
		want   string
	}{
		{"other settings", warden.Settings{}, func(s *warden.Topology) { s.Reason, s.Settings = warden.ReasonSettings, barred }, ""},
		{"another reason", warden.Settings{}, func(s *warden.Topology) { s.Reason, s.Settings = warden.ReasonRepair, barred }, "settings"},
		{"read too early", barred, func(s *warden.Topology) { s.Reason, s.Settings = warden.ReasonSettings, warden.Settings{Revision: 1} }, "settings"},
		{"promotes another", barred, func(s *warden.Topology) { s.Phase, s.Primary = warden.PhasePromoting, "c:6379" }, ""},
		{"promotes the excluded", barred, func(s *warden.Topology) { s.Phase, s.Primary = warden.PhasePromoting, "b:6379" }, "S7"},
	} {
		w := newWorld(KindRedis, rand.New(rand.NewPCG(1, 1)), group.Config{Group: groupName, Primary: "a:6379"}, []warden.NodeID{"a:6379", "b:6379", "c:6379"})
		p := w.addProcess("w1", "w1")
		from := base
		from.Settings = tt.before
		next := from
		next.Step, next.Reason = 2, warden.ReasonFailover
		tt.change(&next)
		w.check.ledger.checkSettings(p, &entry{topology: next, parent: &entry{topology: from}})
		got := ""
		if w.failure != nil {
			got = w.failure.Contract
		}
		if got != tt.want {
			t.Errorf("%s: %q is broken, want %q: %v", tt.name, got, tt.want, w.failure)
		}
	}
}

// Goal: an operator of the simulator gives orders that are taken and ones that are
// refused, in few worlds only.
func TestWorldsAreTuned(t *testing.T) {
	done, refused, worlds := 0, 0, 0
	for seed := uint64(1); seed <= 60; seed++ {
		told := false
		r := RunSeed(Options{Seed: seed, Trace: func(line string) {
			told = told || strings.Contains(line, "is told: configure")
			if strings.Contains(line, "+settings") {
				done++
			}
			if strings.Contains(line, "answers the operator: refused (usage)") || strings.Contains(line, "refused (not-settable)") {
				refused++
			}
		}})
		if r.Violation != nil {
			t.Fatalf("seed %d: %v", seed, r.Violation)
		}
		if told {
			worlds++
		}
	}
	if done == 0 || refused == 0 || worlds == 0 || worlds > 30 {
		t.Errorf("in %d of 60 worlds: settings were agreed %d times, refused %d times", worlds, done, refused)
	}
}
