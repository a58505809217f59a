package postgres

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal: a promotion that was ordered before, and that the server has not
// finished, is no reason to take it for a standby: the claim waits for its end.
func TestClaimDuringPromotion(t *testing.T) {
	for name, paused := range map[string]bool{"replaying": false, "paused": true} {
		t.Run(name, func(t *testing.T) {
			_, a, _ := trio(t)
			if paused {
				a.must("SELECT pg_wal_replay_pause()")
			}
			if o := claimed(t, a, 1).Look(soon(t)); o.Role != warden.RoleReplica || a.must("SELECT pg_is_wal_replay_paused()") != map[bool]string{true: "t", false: "f"}[paused] {
				t.Fatalf("a claim changed the standby: %+v", o)
			}
			pid, err := strconv.Atoi(a.must("SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'"))
			if err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
			a.must("SELECT pg_promote(false)")
			short, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if _, res := New(options()).Claim(short, a.node, testClaim(2)); res.Outcome != warden.Refused || res.Superseded || !strings.Contains(res.Why, "under way") {
				t.Errorf("claim during a promotion: %+v, want it refused for that", res)
			}
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			if o := claimed(t, a, 3).Look(soon(t)); o.Role != warden.RolePrimary {
				t.Errorf("after a claim it is a %s (%s)", o.Role, o.Health)
			}
		})
	}
}
