package shell

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Goal: who wants to know is told of every look, and how long it took.
func TestLooksAreTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.adapter.look = func(context.Context, warden.NodeID) warden.Observation {
			time.Sleep(30 * time.Millisecond)
			return warden.Observation{Health: warden.HealthLoading}
		}
		var mu sync.Mutex
		told := 0
		b.options.Looked = func(name warden.GroupName, node warden.NodeID, health warden.Health, took warden.Duration) {
			mu.Lock()
			defer mu.Unlock()
			told++
			if name != "g" || node != "a:1" || health != warden.HealthLoading || took != 30*warden.Millisecond {
				t.Errorf("told of %s %s %s %s", name, node, health, took)
			}
		}
		b.script.setWatch(group.Watched{Node: "a:1", Every: 100 * warden.Millisecond, Deadline: warden.Second})
		b.start(t)
		time.Sleep(time.Second)
		b.stop(t)
		if looks := b.script.events.count("Looked a:1"); told < 8 || told != looks {
			t.Errorf("told of %d looks, and the mind of %d", told, looks)
		}
	})
}
