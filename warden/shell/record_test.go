package shell

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Goal: a record replays to the state the group was in, also over a step that
// the disk refused and a change of configuration.
func TestRecordReplays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "records")
	var last warden.GroupView
	var b *bench
	synctest.Test(t, func(t *testing.T) {
		b = newBench(t)
		b.options.RecordDir = dir
		b.store.regs["g"] = warden.Register{Promise: 3}
		b.script.setWatch(group.Watched{Node: "a:1", Every: warden.Second})
		b.onHeard("write", func(warden.Instant) group.Effects { return group.Effects{Persist: &warden.Register{}} })
		b.start(t)
		b.heard("w2")
		b.store.fail(func(warden.GroupName) error { return errDisk })
		b.heard("write")
		time.Sleep(time.Second)
		b.store.fail(nil)
		time.Sleep(2 * time.Second)
		changed := b.group("g")
		changed.Config.Quorum = 4
		if err := b.shell.Reconfigure(t.Context(), []GroupOptions{changed}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		l := b.loop()
		b.stop(t)
		last = l.view()
	})
	f, err := os.Open(filepath.Join(dir, "g.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	again := &script{}
	var final Mind
	var heard []warden.WardenID
	err = Replay(f, func(c group.Config, reg warden.Register, _ warden.Instant) Mind {
		if c.Group != "g" || c.Self != "me" || reg.Promise != 3 {
			t.Errorf("run begins with %+v, %+v", c, reg)
		}
		return fakeMind{script: again}
	}, func(line Recorded, m Mind, _ group.Effects) {
		final = m
		if e, err := line.decode(); err == nil {
			if h, ok := e.(group.Heard); ok {
				heard = append(heard, h.Message.From)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := final.View(&group.Config{}, 0).Promise; got != last.Promise {
		t.Errorf("replay ends after %d steps, the run did after %d", got, last.Promise)
	}
	if got, want := again.events.all(), b.script.events.all(); !reflect.DeepEqual(got, want) {
		t.Errorf("replayed %q, want %q", got, want)
	}
	if !reflect.DeepEqual(heard, []warden.WardenID{"w2", "write", "write"}) { // the last one once more, by a mind that knows of the disk
		t.Errorf("heard %v", heard)
	}
}

// Goal: every kind of event survives the way through a record.
func TestEveryEventIsRecorded(t *testing.T) {
	events := []group.Event{
		group.Tick{}, group.Looked{Node: "a:1", Asked: 5, Observation: &warden.Observation{Health: warden.HealthGood, Replicas: []warden.Replica{{Node: "b:1"}}}},
		group.LinkEnded{Node: "a:1", Why: "reset"}, group.KnockFailed{Node: "a:1"},
		group.Heard{Message: warden.Message{Group: "g", Vote: &warden.Vote{Epoch: 4, Granted: true}}},
		group.PeersKnown{IDs: []warden.WardenID{"w2"}}, group.ActionDone{ID: 7, Result: warden.Result{Outcome: warden.Unknown, Why: "lost"}},
		group.StoreFailed{Why: "full"}, group.StoreWorks{}, group.Conflict{Where: "x:1"},
		group.SentinelsWatch{IDs: []string{"s1"}},
		group.Commanded{ID: 1, Command: warden.Command{Wish: warden.WishForget, Wardens: []warden.WardenID{"w3"}}},
	}
	dir := t.TempDir()
	r := newRecorder(&env{Options: Options{RecordDir: dir}}, group.Config{Group: "g"}, warden.Register{}, 1)
	r.begin()
	for i, e := range events {
		r.event(e, warden.Instant(i))
	}
	r.close()
	f, err := os.Open(filepath.Join(dir, "g.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got []group.Event
	err = Replay(f, func(group.Config, warden.Register, warden.Instant) Mind { return &quietMind{} },
		func(line Recorded, _ Mind, _ group.Effects) {
			e, err := line.decode()
			if err != nil {
				t.Error(err)
			}
			got = append(got, e)
		})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, events) {
		t.Errorf("got %+v\nwant %+v", got, events)
	}
}

// Goal: record files are bounded, and a disk that refuses them does not stop
// the group.
func TestRecordIsBounded(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(&env{Options: Options{RecordDir: dir}}, group.Config{Group: "g"}, warden.Register{}, 1)
	r.max = 2000
	r.begin()
	for range 500 {
		r.event(group.Conflict{Where: "somewhere"}, 1)
	}
	r.close()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, %v; want two", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Size() > 2200 {
			t.Errorf("%s has %d bytes, %v", f.Name(), info.Size(), err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	e, err := newEnv(b.options)
	if err != nil {
		t.Fatal(err)
	}
	e.RecordDir = filepath.Join(file, "below")
	r = newRecorder(e, group.Config{Group: "g"}, warden.Register{}, 1)
	r.begin()
	for range 2 * recordQueue {
		r.event(group.Tick{}, 1)
	}
	r.close()
}

// Goal: a replay stops where lines are missing and names the line.
func TestReplayRefuses(t *testing.T) {
	start := `{"at":1,"kind":"start","config":{"Group":"g"},"register":{"promise":1}}` + "\n"
	tests := []struct {
		name, text, want string
	}{
		{"gap", start + `{"at":2,"kind":"Tick","event":{},"missing":4}`, "line 2: record has a gap of 4 lines"},
		{"garbage", start + "{", "line 2"},
		{"unknown kind", start + `{"at":2,"kind":"Dreamt","event":{}}`, `"Dreamt"`},
		{"before the start", `{"at":2,"kind":"Dreamt","event":{}}`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Replay(strings.NewReader(test.text), func(group.Config, warden.Register, warden.Instant) Mind { return &quietMind{} },
				func(Recorded, Mind, group.Effects) {})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if test.name == "gap" && !errors.Is(err, ErrGap) {
				t.Error("the gap is not ErrGap")
			}
		})
	}
}
