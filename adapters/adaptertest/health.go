package adaptertest

import (
	"cmp"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: a dead process is hard evidence; a link to it finds the next one.
func tellsRefusal(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	w := watch(t, a, s.Node())
	w.look(t)
	s.Kill()
	o := w.awaitHealth(t, warden.HealthRefused)
	if o.Detail == "" || o.Role != "" || o.Health.Alive() {
		t.Errorf("observation of a dead server: %+v", o)
	}
}

// Goal: a process that stands still is silent, not refused, and comes back.
func tellsSilence(t *testing.T, h Harness) {
	a, s := h.Adapter(t), h.Start(t, "")
	w := watch(t, a, s.Node())
	w.look(t)
	s.Pause()
	for range 2 { // the second over a new connection, which the kernel accepts
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		began := time.Now()
		o := w.Look(ctx)
		cancel()
		if o.Health != warden.HealthSilent {
			t.Errorf("health %s (%s), want silent", o.Health, o.Detail)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("a look with a deadline of 150ms took %v", took)
		}
	}
	s.Resume()
	w.awaitHealth(t, warden.HealthGood)
}

// Goal: a wrong password is a configuration error, not a death.
func tellsDenied(t *testing.T, h Harness) {
	a, s := h.Denied(t)
	w := watch(t, a, s.Node())
	for range 2 {
		if o := w.Look(within(t)); o.Health != warden.HealthDenied {
			t.Errorf("health %s (%s), want denied", o.Health, o.Detail)
		}
	}
	if _, res := a.Claim(within(t), s.Node(), claimBy("1", 1)); res.Outcome != warden.Refused {
		t.Errorf("claim: %+v, want refused", res)
	}
}

// Goal: a server that is loading its data is alive.
func tellsLoading(t *testing.T, h Harness) {
	a := h.Adapter(t)
	s := h.Loading(t)
	w := watch(t, a, s.Node())
	o := w.Look(within(t))
	if o.Health != warden.HealthLoading || !o.Health.Alive() || !strings.Contains(o.Detail, cmp.Or(h.Traits.StartingUp, "LOADING")) {
		t.Errorf("health %s (%s), want loading", o.Health, o.Detail)
	}
	if err := w.Knock(within(t)); err != nil {
		t.Errorf("knock at a server that is loading: %v", err)
	}
	w.awaitHealth(t, warden.HealthGood)
}

// Goal: a server without room for us is alive.
func tellsFull(t *testing.T, h Harness) {
	a := h.Adapter(t)
	s := h.Full(t)
	w := watch(t, a, s.Node())
	w.awaitHealth(t, warden.HealthBusy)
	if err := w.Knock(within(t)); err == nil {
		t.Error("knock at a full server went well: nobody would hear that it takes no new connections")
	}
}
