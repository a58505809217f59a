package spineldb

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// TestAppendOnlyFile: a server that found its data in an append-only file is told from
// one that began with nothing, whatever was written to it since.
func TestAppendOnlyFile(t *testing.T) {
	s := startRedis(t, "appendonly yes")
	look := func() warden.Observation {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		session, result := New(Options{}).Claim(ctx, s.Node(), testClaim)
		if result.Outcome != warden.Done {
			return warden.Observation{Health: warden.HealthSilent}
		}
		defer session.Close()
		return session.Look(ctx)
	}
	if err := s.Write(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	before := look()
	if before.Health != warden.HealthGood || before.Empty || before.Reloaded {
		t.Errorf("begun with nothing: %+v", before)
	}
	s.Kill()
	again := adaptertest.Launch(t, exec.Command("redis-server", filepath.Join(s.dir, "redis.conf")))
	again.Serves(s.Node())
	adaptertest.Await(t, "the server is back", func() bool { return look().Health == warden.HealthGood })
	if after := look(); !after.Reloaded || after.Empty || after.Lineage == before.Lineage {
		t.Errorf("begun with its file: %+v; before %+v", after, before)
	}
}
