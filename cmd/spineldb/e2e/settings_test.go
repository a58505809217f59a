package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// setting is a setting in force on a Warden, of a node where one is named.
func (w *ward) setting(node warden.NodeID, name string) (found warden.SettingView) {
	w.lab.t.Helper()
	var v warden.SettingsView
	if err := w.ask(&v, "WARDEN", "CONFIG", "GET", groupName); err != nil {
		w.lab.t.Fatal(err)
	}
	i := slices.IndexFunc(v.Settings, func(s warden.SettingView) bool { return s.Node == node && s.Name == name })
	if i < 0 {
		return found
	}
	return v.Settings[i]
}

// candidate is whom a failover would promote, as a Warden sees it.
func (w *ward) candidate() *node {
	w.lab.t.Helper()
	a := w.order("DRILL", groupName)
	if a.Drill == nil {
		w.lab.t.Fatalf("drill: %+v", a)
	}
	return w.lab.node(a.Drill.Candidate)
}

// Goal: the replica that would be promoted is excluded at run time, and patience
// is shortened from 15 s to 1 s. All Wardens keep to it, also after all of them were
// restarted: the other replica is promoted, long before the files would allow.
func TestSettingsAtRunTime(t *testing.T) {
	t.Parallel()
	l := startLab(t, withWeb, func(s *settings) { s.down = 15 * time.Second })
	old, barred := l.nodes[0], l.wardens[0].candidate()
	if out, err := l.wardens[1].command(l.ctx(patience), "config", "set", groupName, "down_after=1s", string(barred.addr)+"/nofailover=true"); err != nil || !strings.Contains(out, "done") {
		t.Fatalf("config set: %v\n%s", err, out)
	}
	holds := func() bool {
		return !slices.ContainsFunc(l.wardens, func(w *ward) bool {
			down, tag := w.setting("", "down_after"), w.setting(barred.addr, "nofailover")
			return down.Value != "1s" || down.Source != warden.SourceAgreed || tag.Value != "true" || tag.Source != warden.SourceAgreed
		})
	}
	await(t, "every Warden keeps to the settings", holds)
	if q := l.wardens[2].setting("", "quorum"); q.Value != "2" || q.Source != warden.SourceFile {
		t.Errorf("quorum, which is not agreed: %+v", q)
	}
	if err := l.wardens[0].client.Do(l.ctx(patience), "SENTINEL", "SET", groupName, "down-after-milliseconds", "9000").Err(); err == nil || !strings.Contains(err.Error(), "agreed") {
		t.Errorf("SENTINEL SET of what is agreed: %v", err)
	}
	for _, w := range l.wardens {
		w.process.kill()
	}
	for _, w := range l.wardens {
		w.start()
	}
	l.awaitAgreed(old)
	if !holds() {
		t.Fatal("after a restart of all Wardens the settings are not as they were")
	}
	if next := l.wardens[2].candidate(); next == barred || next == nil {
		t.Fatalf("a drill would promote %v", next)
	}
	old.pause()
	began := time.Now()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	if took := time.Since(began); fresh == barred || took > 12*time.Second {
		t.Errorf("%s is the primary after %s; excluded was %s", fresh.name, took, barred.name)
	} else {
		t.Logf("%s is the primary after %s", fresh.name, milliseconds(took))
	}
	old.resume()
	l.awaitAgreed(fresh)
	l.setByWeb(barred)
}

// setByWeb keeps readers off a replica and takes everything back, by HTTP.
func (l *lab) setByWeb(replica *node) {
	t, w := l.t, l.wardens[1]
	post := func(body string) {
		t.Helper()
		if a := w.askWeb(l.ctx(patience), http.MethodPost, "/groups/"+groupName+"/cluster/config", body); a.status != http.StatusOK {
			t.Fatalf("%s: %d %s", body, a.status, a.body)
		}
	}
	await(t, "the replica may be read from", func() bool { return w.check(l.ctx(patience), "replica", replica.addr).status == http.StatusOK })
	post(`{"nodes": {"` + string(replica.addr) + `": {"noloadbalance": true}}}`)
	for _, other := range l.wardens {
		await(t, other.name+" keeps readers off the replica", func() bool {
			a := other.check(l.ctx(patience), "replica", replica.addr)
			return a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "noloadbalance")
		})
	}
	post(`{"down_after": null, "nodes": {"` + string(replica.addr) + `": {"noloadbalance": null, "nofailover": null}}}`)
	for _, other := range l.wardens {
		await(t, other.name+" goes by its file again", func() bool {
			down := other.setting("", "down_after")
			return down.Value == "15s" && down.Source == warden.SourceFile && other.setting(replica.addr, "nofailover").Value == "" &&
				other.check(l.ctx(patience), "replica", replica.addr).status == http.StatusOK
		})
	}
}

// Goal (S4): the leader of a change of settings is killed as it proposes it. The
// change holds on all Wardens or on none, and the next one is made.
func TestLeaderKilledInSettings(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	leader := l.wardens[0]
	leader.restart("changing")
	l.awaitAgreed(l.nodes[0])
	leader.dieOf("config", "set", groupName, "quorum=3")
	leader.restart("")
	l.awaitAgreed(l.nodes[0])
	// What the dead leader has left may be agreed on at any moment; then the order is
	// refused, because it was given by who had read what was before.
	await(t, "the next change is made", func() bool {
		a := l.wardens[1].order("CONFIG", "SET", groupName, "quorum=1")
		if a.Verdict == warden.VerdictRefused && a.Code == "changed" {
			return false
		}
		if a.Verdict != warden.VerdictDone {
			t.Fatalf("config set: %+v", a)
		}
		return true
	})
	for _, w := range l.wardens {
		await(t, w.name+" keeps to it", func() bool { return w.setting("", "quorum").Value == "1" })
	}
	if a := l.wardens[2].order("CONFIG", "SET", groupName, "UNSET", "quorum"); a.Verdict != warden.VerdictDone {
		t.Fatalf("config set: %+v", a)
	}
	if got := l.wardens[2].setting("", "quorum"); got.Value != "2" || got.Source != warden.SourceFile {
		t.Errorf("at last: %+v", got)
	}
}

// Goal (S8): quorum durability is turned on for a running group, keeps a replica
// out that is tagged, and is turned off again. Then nothing waits for anybody any
// more, neither the primary nor whoever is promoted after it.
func TestDurabilityAtRunTime(t *testing.T) {
	t.Parallel()
	pl := startPgLab(t)
	primary, b, c := pl.servers[0], pl.servers[1], pl.servers[2]
	set := func(words ...any) {
		t.Helper()
		if a := pl.wardens[1].order(append([]any{"CONFIG", "SET", groupName}, words...)...); a.Verdict != warden.VerdictDone {
			t.Fatalf("%v: %+v", words, a)
		}
	}
	set("synchronous_mode=true")
	pl.awaitSync(primary, b, c)
	set(string(c.Addr) + "/nosync=true")
	pl.awaitSync(primary, b)
	set("UNSET", string(c.Addr)+"/nosync")
	pl.awaitSync(primary, b, c)

	set("synchronous_mode=false")
	waits := func(n *pgNode) string {
		text, err := n.try("SHOW synchronous_standby_names")
		if err != nil {
			return err.Error()
		}
		return text
	}
	await(t, "the primary waits for nobody", func() bool {
		return waits(primary) == "" && !slices.ContainsFunc(pl.wardens, func(w *ward) bool { return len(w.mustView().Topology.Sync) > 0 })
	})
	if waits(b) == "" && waits(c) == "" {
		t.Error("no standby has what it had as a member: this test proves nothing")
	}
	primary.kill()
	fresh := pl.awaitOther(primary, pl.wardens...)
	await(t, "the promoted one waits for nobody", func() bool { return waits(fresh) == "" })
	fresh.must("CREATE TABLE written AS SELECT 1")
}
