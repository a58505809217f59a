package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// notedRemark is how the file says what its store has noted.
const notedRemark = "# Warden: the store beside this file has noted epoch "

// noted is the epoch that the Warden's file says its store has noted.
func (w *ward) noted() warden.Epoch {
	w.lab.t.Helper()
	for _, line := range w.lines(notedRemark) {
		n, err := strconv.ParseUint(strings.TrimPrefix(line, notedRemark), 10, 64)
		if err != nil {
			w.lab.t.Fatal(err)
		}
		return warden.Epoch(n)
	}
	return 0
}

// raiseEpoch does what an operator or a real Sentinel does to the file.
func (w *ward) raiseEpoch(by uint64) {
	w.lab.t.Helper()
	data, err := os.ReadFile(w.file())
	if err != nil {
		w.lab.t.Fatal(err)
	}
	const words = "sentinel current-epoch "
	line := w.lines(words)[0]
	n, err := strconv.ParseUint(strings.TrimPrefix(line, words), 10, 64)
	if err != nil {
		w.lab.t.Fatal(err)
	}
	w.write(strings.Replace(string(data), line, fmt.Sprint(words, n+by), 1))
}

// involve sees to it that a Warden has promised something after the epoch early: on
// a busy machine the other two fail over without it. It returns the primary.
func (l *lab) involve(w *ward, early warden.Epoch, primary *node) *node {
	l.t.Helper()
	for round := 0; round < rounds && w.mustView().Promise <= early; round++ {
		_ = l.wardens[1].sentinel("FAILOVER", groupName)
		primary = l.awaitPrimaryOtherThan(primary, l.wardens...)
	}
	return primary
}

// Goal: a Warden whose store was set back to an earlier day, while its file was
// not, does not believe it: it keeps it for the operator, comes back under a
// new identity and takes no part until it hears the others. A restart, and
// epochs that somebody else raised in the file, are no such thing.
func TestDropInRestoredStore(t *testing.T) {
	t.Parallel()
	l := startLab(t, dropIn)
	primary, back := l.nodes[0], l.wardens[0]
	store, backup := back.file()+".warden", l.path("backup")
	id, shown := back.id(), back.sentinel("MYID")
	await(t, "the file says what the store has noted", func() bool { return back.noted() > 0 })
	back.terminate()
	if err := os.CopyFS(backup, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	back.raiseEpoch(5)
	back.start()
	if got := back.id(); got != id {
		t.Fatalf("after a restart with other epochs in the file it is %s and was %s", got, id)
	}
	l.awaitAgreed(primary)
	early := back.noted()
	primary.process.kill()
	second := l.awaitPrimaryOtherThan(primary, l.wardens...)
	second = l.involve(back, early, second)
	await(t, "the file and its store have gone on", func() bool { return back.noted() > early && back.noted() >= back.mustView().Promise })
	promised := back.mustView().Promise
	back.process.kill()
	back.start()
	if got := back.id(); got != id {
		t.Fatalf("after a crash it is %s and was %s", got, id)
	}

	for _, w := range l.wardens {
		w.process.kill()
	}
	second.process.kill()
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(backup, store); err != nil {
		t.Fatal(err)
	}
	back.start()
	l.wardens[1].start()
	if got := back.id(); got == id {
		t.Errorf("it still is %s with a store of an earlier day", got)
	}
	if got := back.sentinel("MYID"); got != shown {
		t.Errorf("clients know it as %s and knew it as %s", got, shown)
	}
	aside, err := filepath.Glob(store + ".set-aside-*/warden.db")
	if err != nil || len(aside) != 1 {
		t.Errorf("the old store is not kept: %v, %v", aside, err)
	} else if log := back.process.tail(1000); !strings.Contains(log, filepath.Dir(aside[0])) || !strings.Contains(log, "older than the configuration file") {
		t.Errorf("the log does not tell of it:\n%s", log)
	}
	stays(t, 4*downAfter, "nothing is promoted with the help of a Warden whose store was set back", func() bool {
		return !l.nodes[1].isPrimary() && !l.nodes[2].isPrimary() && back.mustView().Promise >= promised
	})
	l.wardens[2].start()
	await(t, "the two that remember fail over, and the third learns of it", func() bool {
		at := back.served()
		return at != "" && at != second.addr && at == l.wardens[1].served() && at == l.wardens[2].served() && l.node(at).isPrimary()
	})
	fresh := back.id()
	back.terminate()
	back.start()
	if got := back.id(); got != fresh {
		t.Errorf("after one more restart it is %s and was %s", got, fresh)
	}
}
