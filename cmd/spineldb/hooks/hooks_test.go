//go:build unix

package hooks

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// stage is one Warden with a group "g" whose view a test sets. Times pass in a
// bubble; while a program runs they stand still.
type stage struct {
	*testing.T
	dir   string
	hooks config.Hooks
	h     *Hooks

	mu   sync.Mutex
	view warden.GroupView
	said []string
}

func (s *stage) Now() warden.Instant                                   { return 0 }
func (s *stage) Self() warden.SelfView                                 { return warden.SelfView{} }
func (s *stage) Groups() []warden.GroupName                            { return []warden.GroupName{"g"} }
func (s *stage) Command(context.Context, warden.Command) warden.Answer { return warden.Answer{} }
func (s *stage) Primary(warden.GroupName) (warden.NodeID, bool)        { return "", true }
func (s *stage) Group(warden.GroupName) (warden.GroupView, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.view
	v.Nodes, v.Peers = slices.Clone(v.Nodes), slices.Clone(v.Peers)
	return v, true
}

// newStage begins with a:1 as the primary, agreed by w1, w2 and w3, all heard. Each
// hook writes its name, arguments and id to out.
func newStage(t *testing.T, dir string) *stage {
	s := &stage{T: t, dir: dir, hooks: config.Hooks{Timeout: 5 * warden.Second, Retries: 2, Commands: map[string][]string{}}}
	s.view = warden.GroupView{Name: "g", StaleAfter: 4 * warden.Second, MovedAgo: -1, Topology: warden.Topology{Group: "g", Birth: "0123456789", Version: warden.Version{Epoch: 3, Step: 1},
		Phase: warden.PhaseDone, Primary: "a:1", Wardens: []warden.WardenID{"w1", "w2", "w3"}, Leader: "w1"}}
	for _, id := range []warden.WardenID{"w1", "w2", "w3"} {
		s.view.Peers = append(s.view.Peers, warden.PeerView{ID: id, Listed: true})
	}
	s.node("a:1", warden.NodeView{Observation: warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary}})
	s.node("b:1", follows("a:1"))
	tell := s.script("tell", `echo "$WARDEN_HOOK $1 $WARDEN_NODE $WARDEN_EVENT_ID" >>out`)
	for _, name := range []string{"on_role_change", "on_failover", "on_switchover", "on_node_join", "on_node_remove", "on_node_rejoin", "on_start", "on_stop"} {
		s.hooks.Commands[name] = []string{tell, "arg"}
	}
	return s
}

func follows(primary warden.NodeID) warden.NodeView {
	return warden.NodeView{Observation: warden.Observation{Health: warden.HealthGood, Role: warden.RoleReplica, Upstream: primary, LinkUp: true}}
}

// script is a program that runs in the directory of the stage.
func (s *stage) script(name, text string) string {
	s.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\ncd "+s.dir+"\n"+text+"\n"), 0o700); err != nil {
		s.Fatal(err)
	}
	return path
}

func (s *stage) start(self warden.WardenID) {
	s.h = New(Options{
		Directory: s, Self: self, Process: string(self) + "r1", Dir: s.dir,
		Hooks:   func(warden.GroupName) (config.Hooks, bool) { return s.hooks, true },
		General: func() config.Hooks { return s.hooks },
		Say: func(e warden.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.said = append(s.said, e.Name+" "+e.Payload)
		},
	})
}

func (s *stage) stop() {
	s.Helper()
	if err := s.h.Close(s.Context()); err != nil {
		s.Error(err)
	}
}

func (s *stage) node(id warden.NodeID, n warden.NodeView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Node = id
	if i := slices.IndexFunc(s.view.Nodes, func(x warden.NodeView) bool { return x.Node == id }); i >= 0 {
		s.view.Nodes[i] = n
	} else {
		s.view.Nodes = append(s.view.Nodes, n)
	}
}

func (s *stage) down(ids ...warden.WardenID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.view.Peers {
		s.view.Peers[i].Down = slices.Contains(ids, s.view.Peers[i].ID)
	}
}

// agree makes b:1 the primary, led by a Warden. heard: the event is announced.
func (s *stage) agree(leader warden.WardenID, reason warden.Reason, heard bool) {
	s.mu.Lock()
	t := &s.view.Topology
	t.Version, t.Previous, t.Primary, t.Leader, t.Reason = warden.Version{Epoch: 5, Step: 2}, "a:1", "b:1", leader, reason
	s.mu.Unlock()
	if heard {
		s.h.Hear(warden.Event{Group: "g", Name: "+switch-master", Node: "b:1"})
	}
}

// pass lets time pass, and what is due happen.
func (s *stage) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// out is what the hooks have written since the last call.
func (s *stage) out() []string {
	s.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "out"))
	if err != nil && !os.IsNotExist(err) {
		s.Fatal(err)
	}
	_ = os.Remove(filepath.Join(s.dir, "out"))
	return strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
}

func (s *stage) expect(want ...string) {
	s.Helper()
	if got := s.out(); !slices.Equal(got, want) {
		s.Errorf("the hooks wrote\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var failedOver = []string{
	"on_role_change arg b:1 g-01234567-5-on_role_change-primary",
	"on_role_change arg a:1 g-01234567-5-on_role_change-replica",
	"on_failover arg b:1 g-01234567-5-on_failover-primary",
}

// sorted are lines of lanes that do not wait for one another.
func (s *stage) expectSorted(want []string) {
	s.Helper()
	got := s.out()
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		s.Errorf("the hooks wrote\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Goal: the leader of a change runs its hooks, once; the others do not while it
// lives.
func TestLeaderRunsHooks(t *testing.T) {
	for self, want := range map[warden.WardenID][]string{"w2": failedOver, "w1": nil, "w3": nil} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, dir)
			s.start(self)
			s.pass(time.Second)
			s.agree("w2", warden.ReasonFailover, true)
			s.pass(time.Minute)
			s.expectSorted(want)
			s.stop()
			if data, _ := os.ReadFile(filepath.Join(dir, File)); string(data) != `{"g":"b:1"}` {
				t.Errorf("%s: %s says %q", self, File, data)
			}
		})
	}
}

// Goal: when the leader dies, the first of the others runs its hooks, with the same
// ids, and the second one only if that is gone, too.
func TestAnotherRunsHooks(t *testing.T) {
	for _, tt := range []struct {
		self warden.WardenID
		down []warden.WardenID
		want []string
	}{
		{"w1", []warden.WardenID{"w2"}, failedOver},
		{"w3", []warden.WardenID{"w2"}, nil},
		{"w3", []warden.WardenID{"w2", "w1"}, failedOver},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, dir)
			s.start(tt.self)
			s.pass(time.Second)
			s.agree("w2", warden.ReasonFailover, true)
			s.down(tt.down...)
			s.pass(4 * time.Second)
			s.expect()
			s.pass(time.Minute)
			s.expectSorted(tt.want)
			s.stop()
		})
	}
}

// Goal: a leader that died before its hooks were over runs them when it is back, and
// a change that was missed altogether is made up for, by its leader alone.
func TestHooksAfterARestart(t *testing.T) {
	for self, want := range map[warden.WardenID][]string{"w2": failedOver, "w1": nil} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, dir)
			s.start(self)
			s.pass(time.Second)
			s.stop()
			s.agree("w2", warden.ReasonFailover, false)
			s.start(self)
			s.pass(time.Minute)
			s.expectSorted(want)
			s.stop()
			s.start(self)
			s.pass(time.Minute)
			s.expect()
			s.stop()
		})
	}
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, dir) // a Warden that has written nothing makes up for nothing
		s.agree("w2", warden.ReasonFailover, false)
		s.start("w2")
		s.pass(time.Minute)
		s.expect()
		s.stop()
	})
}

// Goal: a switchover has a hook of its own, and every variable and the input say
// what the documentation says.
func TestWhatHooksAreTold(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, dir)
		s.hooks.Commands = map[string][]string{"on_switchover": {s.script("all", "/usr/bin/env | grep ^WARDEN | sort >>out; cat >>out"), "x"}}
		s.start("w2")
		s.pass(time.Second)
		s.agree("w2", warden.ReasonSwitchover, true)
		s.pass(time.Minute)
		at, err := time.Now().Add(-time.Minute).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		s.expect("WARDEN_ATTEMPT=1", "WARDEN_EPOCH=5", "WARDEN_EVENT_ID=g-01234567-5-on_switchover-primary", "WARDEN_GROUP=g", "WARDEN_HOOK=on_switchover",
			"WARDEN_ID=w2", "WARDEN_NEW_PRIMARY=b:1", "WARDEN_NODE=b:1", "WARDEN_OLD_PRIMARY=a:1", "WARDEN_REASON=switchover", "WARDEN_ROLE=primary",
			`{"id":"g-01234567-5-on_switchover-primary","hook":"on_switchover","time":`+string(at)+`,"warden":"w2","group":"g","node":"b:1",`+
				`"role":"primary","old_primary":"a:1","new_primary":"b:1","reason":"switchover","epoch":5,"attempt":1}`)
		s.stop()
	})
}

// Goal: a change that is learned of by the next leader's first step is told for what
// it was decided for, and in which epoch.
func TestHooksOfADeadLeadersChange(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, dir)
		delete(s.hooks.Commands, "on_role_change")
		s.start("w3")
		s.pass(time.Second)
		s.mu.Lock()
		s.view.MovedAgo, s.view.MovedFor, s.view.MovedIn = 0, warden.ReasonSwitchover, 4
		s.mu.Unlock()
		s.agree("w3", warden.ReasonRepair, true)
		s.pass(time.Minute)
		s.expect("on_switchover arg b:1 g-01234567-4-on_switchover-primary")
		s.stop()
	})
}

// Goal: every Warden tells of the nodes it sees come, go, and come back.
func TestNodeHooks(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, dir)
		s.start("w3")
		s.pass(time.Second)
		s.expect() // what there is at the start is no news
		s.node("c:1", follows("a:1"))
		s.pass(time.Second)
		s.expect("on_node_join arg c:1 w3r1-on_node_join-1")
		gone := follows("a:1")
		gone.Down, gone.Observation.Health = true, warden.HealthSilent
		s.node("c:1", gone)
		s.pass(time.Second)
		s.expect()
		astray := follows("x:1")
		s.node("c:1", astray)
		s.pass(time.Second)
		s.expect()
		s.node("c:1", follows("a:1"))
		s.pass(time.Second)
		s.expect("on_node_rejoin arg c:1 w3r1-on_node_rejoin-2")
		// Down and back before anybody looks.
		s.h.Hear(warden.Event{Group: "g", Name: "+sdown", Node: "c:1"})
		s.pass(time.Second)
		s.expect("on_node_rejoin arg c:1 w3r1-on_node_rejoin-3")
		s.h.Hear(warden.Event{Group: "g", Name: "+sdown", Node: "x:1"})
		s.mu.Lock()
		s.view.Nodes = s.view.Nodes[:2]
		s.mu.Unlock()
		s.pass(time.Second)
		s.expect("on_node_remove arg c:1 w3r1-on_node_remove-4")
		s.node("d:1", warden.NodeView{Foreign: true})
		s.pass(time.Second)
		s.expect()
		s.stop()
	})
}

// Goal: a hook that fails is run again, with the same id, and said once when that
// does not help. Others do not wait for it.
func TestHookFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, dir)
		s.hooks.Commands["on_failover"] = []string{s.script("fail", `echo "$WARDEN_ATTEMPT $WARDEN_EVENT_ID" >>tries; echo no luck; exit 3`)}
		s.start("w2")
		s.pass(time.Second)
		s.agree("w2", warden.ReasonFailover, true)
		s.pass(time.Minute)
		s.expect(failedOver[:2]...)
		tries, _ := os.ReadFile(filepath.Join(dir, "tries"))
		id := "g-01234567-5-on_failover-primary"
		if want := fmt.Sprintf("1 %s\n2 %s\n3 %s\n", id, id, id); string(tries) != want {
			t.Errorf("tries\n%swant\n%s", tries, want)
		}
		if want := []string{"-hook-failed on_failover " + id + " on_failover ended with exit code 3: no luck"}; !slices.Equal(s.said, want) {
			t.Errorf("said %q, want %q", s.said, want)
		}
		s.stop()
	})
}

// Goal: a hook that hangs and what it started are ended with the Warden, and on_stop
// is run before, within a limit.
func TestHooksAtTheEnd(t *testing.T) {
	s := newStage(t, t.TempDir())
	s.hooks.Timeout = warden.Second
	s.hooks.Commands["on_start"] = []string{s.script("hang", `trap "" TERM; sleep 600 & echo $! >child; echo $$ >hangs; wait; wait`)}
	s.start("w1")
	s.h.Started()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if data, _ := os.ReadFile(filepath.Join(s.dir, "hangs")); len(data) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("on_start does not run")
		}
	}
	s.h.Stopping()
	s.expect("on_stop arg  w1r1-on_stop-2")
	s.stop()
	for _, name := range []string{"child", "hangs"} {
		gone(t, filepath.Join(s.dir, name))
	}

	s.hooks.Commands["on_stop"] = []string{s.script("stuck", "sleep 600")}
	s.hooks.Commands["on_start"] = nil
	s.start("w1")
	began := time.Now()
	s.h.Stopping()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("on_stop was waited for for %s", took)
	}
	if len(s.said) != 1 || !strings.Contains(s.said[0], "-hook-failed on_stop w1r1-on_stop-1 on_stop took too long") {
		t.Errorf("said %q", s.said)
	}
	s.stop()
}

// gone waits until the process is gone whose id is in a file.
func gone(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat") // nobody may be there to reap it
		if syscall.Kill(pid, 0) != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d of %s stays", pid, filepath.Base(file))
		}
	}
}
