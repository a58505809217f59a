package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// Goal (S8): while the group is paused the primary dies and somebody promotes a
// member of the sync set by hand. Resumed, the Wardens seal the other member,
// agree on the promoted one, and nothing acknowledged is lost. The old primary is
// fenced when it returns.
func TestPostgresMemberPromotedByHand(t *testing.T) {
	t.Parallel()
	l := startDurable(t)
	old, other, chosen := l.servers[0], l.servers[1], l.servers[2]
	await(t, "the group is paused", func() bool { return l.wardens[0].order("PAUSE", groupName).Verdict == warden.VerdictDone })
	await(t, "all know of the pause", func() bool {
		for _, w := range l.wardens {
			if v, err := w.view(); err != nil || !v.Paused {
				return false
			}
		}
		return true
	})
	w := l.writes(time.Second, l.wardens...)
	w.goesOn()
	acks := w.Stop()
	end := old.must("SELECT pg_current_wal_flush_lsn()")
	await(t, "both members have everything", func() bool {
		for _, n := range []*pgNode{other, chosen} {
			if n.ask(fmt.Sprintf("SELECT pg_last_wal_replay_lsn() >= '%s'", end)) != "t" {
				return false
			}
		}
		return true
	})
	old.kill()
	chosen.must("SELECT pg_promote()")
	await(t, "the group is resumed", func() bool { return l.wardens[1].order("RESUME", groupName).Verdict == warden.VerdictDone })
	if fresh := l.awaitOther(old, l.wardens...); fresh != chosen {
		t.Fatalf("%s is the primary, want %s, which was promoted by hand", fresh.name, chosen.name)
	}
	l.awaitWhole(chosen, chosen, other)
	l.awaitSync(chosen, other)
	if gone := l.lostOn(chosen, acks); len(gone) > 0 {
		t.Errorf("%d of %d acknowledged writes are lost: %v", len(gone), len(acks), gone)
	}
	again := l.writes(time.Second, l.wardens...)
	again.goesOn()
	old.start()
	l.awaitFenced(old, chosen)
	again.keepsAll(chosen)
}

// halfWay are the lines of a group whose rejoin command first stops the server and
// is killed then, once told.hold is gone; each time after that it is the example
// script. told is the directory in which it leaves whose child it was.
func halfWay(t *testing.T, told string) string {
	t.Helper()
	whole := rejoining(t)
	list, rest, _ := strings.Cut(strings.TrimPrefix(whole, "rejoin_command = ["), "]")
	words := strings.Split(list, ", ")
	program := filepath.Join(t.TempDir(), "rejoin.sh")
	writeProgram(t, program, fmt.Sprintf(`#!/bin/bash
set -u
if mkdir %[1]q; then
	data=$(awk -v node="$WARDEN_NODE" '$1 == node { print $2 }' %[2]s)
	kill -QUIT "$(head -n 1 "$data/postmaster.pid")"
	echo $PPID >%[1]q/by.new && mv %[1]q/by.new %[1]q/by
	while [ -e %[1]q.hold ]; do sleep 0.01; done
	kill -9 $$
fi
exec %[3]s "$@"
`, told, words[2], words[0]))
	words[0] = fmt.Sprintf("%q", program)
	return "rejoin_command = [" + strings.Join(words, ", ") + "]" + rest
}

// Goal: a rejoin is killed after it has stopped the server. It is said why, and it
// is tried again although nobody answers there; so it is when the Warden that ran
// it dies along with it, and nobody is left who knows of it.
func TestPostgresRejoinStoppedHalfWay(t *testing.T) {
	t.Parallel()
	for _, leaderDies := range []bool{false, true} {
		t.Run(fmt.Sprintf("leader dies %v", leaderDies), func(t *testing.T) {
			t.Parallel()
			told := filepath.Join(t.TempDir(), "told")
			l := startPgLab(t, halfWay(t, told))
			old := l.servers[0]
			hold := told + ".hold"
			if err := os.WriteFile(hold, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			old.kill()
			fresh := l.awaitOther(old, l.wardens...)
			l.awaitWhole(fresh, l.except(old)...)
			old.start()
			var by string
			await(t, "the program has stopped the server", func() bool {
				text, err := os.ReadFile(filepath.Join(told, "by"))
				by = strings.TrimSpace(string(text))
				return err == nil && by != "" && old.Pid() == 0
			})
			if leaderDies {
				l.killProcess(by)
			}
			if err := os.Remove(hold); err != nil {
				t.Fatal(err)
			}
			if !leaderDies {
				await(t, "-rejoin-failed is announced", func() bool { return anySaid(l.wardens, "-rejoin-failed", old.Addr.Port(), "signal 9") })
			}
			// Tries that find another one under way wait for longer each time.
			awaitFor(t, 3*patience, "the loser is a standby", func() bool { return l.whole(fresh, l.servers...) })
		})
	}
}

// killProcess kills the Warden with that process id and starts it again, when it
// knows of nothing.
func (pl *pgLab) killProcess(pid string) {
	pl.t.Helper()
	for _, w := range pl.wardens {
		if fmt.Sprint(w.process.cmd.Process.Pid) == pid {
			w.process.kill()
			w.start()
			return
		}
	}
	pl.t.Fatalf("process %s is no Warden", pid)
}
