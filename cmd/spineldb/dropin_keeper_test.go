package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/sentinelconf"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// keeperOf is a keeper as a start makes it, without a daemon.
func keeperOf(t *testing.T, text string) *fileKeeper {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := sentinelconf.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := file.Config()
	if err != nil {
		t.Fatal(err)
	}
	k := newFileKeeper(file, slog.New(slog.DiscardHandler))
	k.first = dropinSetup(file, c)
	return k
}

// Goal: what nobody changed stays in the words of the file, also where a Warden
// takes it for something else, and what somebody changed is written. Changed
// back, it is in the words of the file again.
func TestKeeperLeavesTheOperatorsWords(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "other.sh")
	for _, path := range []string{script, filepath.Join(dir, "tell.sh")} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	k := keeperOf(t, strings.ReplaceAll(`dir DIR
sentinel monitor m 10.0.0.1 6379 2
sentinel down-after-milliseconds m 50
sentinel failover-timeout m 20
sentinel parallel-syncs m 0
sentinel notification-script m tell.sh
sentinel rename-command m config Secret
sentinel config-epoch m 4
sentinel known-replica m 10.0.0.2 6379
`, "DIR", dir))
	want := *k.file.State.Group("m")
	want.ConfigEpoch, want.Replicas = 0, nil // the rest adds what is known
	same := func(what string, got sentinelconf.Group) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s the file is to say %+v, want %+v", what, got, want)
		}
	}
	m := k.first.Masters[0]
	if m.DownAfter == want.DownAfter || m.NotificationScript == want.NotificationScript {
		t.Fatalf("this test looks at nothing: %+v", m)
	}
	same("unchanged,", k.settingsOf(m))
	next := k.first.clone().Masters[0]
	for _, o := range []resp.Setting{
		{Name: optionDown, Values: []string{"7000"}}, {Name: optionTimeout, Values: []string{"8000"}},
		{Name: "parallel-syncs", Values: []string{"3"}}, {Name: "quorum", Values: []string{"1"}},
		{Name: optionNotification, Values: []string{script}}, {Name: optionPassword, Values: []string{"pw"}},
		{Name: optionRename, Values: []string{"role", "Part"}},
	} {
		if err := applyOption(&next, o); err != nil {
			t.Fatal(err)
		}
	}
	want.DownAfter, want.FailoverTimeout, want.ParallelSyncs, want.Quorum = 7*warden.Second, 8*warden.Second, 3, 1
	want.NotificationScript, want.AuthPass = script, "pw"
	want.Renames = []sentinelconf.Rename{{From: "CONFIG", To: "Secret"}, {From: "ROLE", To: "Part"}}
	same("changed,", k.settingsOf(next))
	want = *k.file.State.Group("m")
	want.ConfigEpoch, want.Replicas = 0, nil
	same("changed back,", k.settingsOf(m))
}

// Goal: users are not written into a file that names a file of users.
func TestKeeperWritesNoUsersBesideAFile(t *testing.T) {
	for text, want := range map[string]bool{"port 1\n": true, "aclfile /etc/hostname\n": false} {
		k := keeperOf(t, text)
		k.UsersChanged()
		if got := k.users.Load(); got != want {
			t.Errorf("%q: changed users are written: %v, want %v", text, got, want)
		}
	}
}
