package e2e

import (
	"fmt"
	"testing"
)

// ask is the answer to a question, or "" while there is none.
func (n *pgNode) ask(sql string) string {
	out, _ := n.try(sql)
	return out
}

// Goal: a standby receives from the one that the operator named for it, from the
// primary while that one is gone, and again from it later. One whose slot was
// dropped by hand gets another.
func TestPostgresCascade(t *testing.T) {
	t.Parallel()
	l := newPgLab(t, `durability = "quorum"`)
	l.settings.groups = func() string {
		return l.block() + fmt.Sprintf("tags.%q = { replicatefrom = %q }\n", l.servers[2].Addr, l.servers[1].Addr)
	}
	primary := l.addServer(l.host, nil)
	middle, last := l.addServer(l.host, primary), l.addServer(l.host, primary)
	for range 3 {
		l.prepareWarden()
	}
	for _, w := range l.wardens {
		w.start()
	}
	await(t, "the last one receives from the middle", func() bool { return last.follows(middle) })
	middle.kill()
	await(t, "it receives from the primary meanwhile", func() bool { return last.follows(primary) })
	middle.start()
	await(t, "it receives from the middle again", func() bool { return middle.follows(primary) && last.follows(middle) })

	await(t, "the middle has a slot", func() bool {
		return primary.ask("SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name LIKE 'warden_%'") == "1"
	})
	await(t, "its slot is dropped", func() bool {
		primary.ask("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active")
		primary.ask("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active AND slot_name LIKE 'warden_%'")
		return primary.ask("SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'warden_%'") == "0"
	})
	await(t, "it has another one and receives", func() bool {
		return middle.follows(primary) && primary.ask("SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name LIKE 'warden_%'") == "1"
	})
}
