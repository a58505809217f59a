package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spineldb/warden/discovery/webhook"
	"github.com/spineldb/warden/warden"
)

// hookLab is a lab whose Wardens write down what their hooks are told. Its
// pre_promote vetoes the node that is asked about first, for ever.
type hookLab struct {
	*lab
	dir string
}

// vetoFirst is a pre_promote that vetoes the node that it is asked about first.
const vetoFirst = `
	echo "$WARDEN_ID $WARDEN_NODE" >>asked
	test -e veto || echo "$WARDEN_NODE" >veto
	if test "$(cat veto)" = "$WARDEN_NODE"; then echo not this one; exit 1; fi`

func startHookLab(t *testing.T, more string) *hookLab {
	t.Helper()
	h := &hookLab{dir: t.TempDir()}
	tell := h.script(t, "tell", `echo "$WARDEN_HOOK $WARDEN_ID $WARDEN_EVENT_ID $WARDEN_NODE $WARDEN_OLD_PRIMARY" >>told`)
	ask := h.script(t, "ask", vetoFirst)
	h.lab = startLab(t, func(s *settings) {
		s.top = fmt.Sprintf("%s\n[hooks]\non_failover = %q\non_switchover = %q\non_start = %q\non_stop = %q\npre_promote = %q\n", more, tell, tell, tell, tell, ask)
	})
	return h
}

func (h *hookLab) script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\ncd "+h.dir+"\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func (h *hookLab) read(name string) string {
	data, err := os.ReadFile(filepath.Join(h.dir, name))
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

// told are the lines that a hook has written, as words.
func (h *hookLab) told(hook string) (lines [][]string) {
	for line := range strings.Lines(h.read("told")) {
		if words := strings.Fields(line); len(words) > 0 && words[0] == hook {
			lines = append(lines, words)
		}
	}
	return lines
}

// Goal: a failover, in which pre_promote vetoes the best replica: the other one is
// promoted, the veto and its reason are told, and on_failover runs exactly once, on
// the leader. on_start and on_stop run on every Warden.
func TestPrePromoteVetoes(t *testing.T) {
	t.Parallel()
	h := startHookLab(t, "")
	old := h.nodes[0]
	await(t, "on_start has run on every Warden", func() bool { return len(h.told("on_start")) == 3 })
	old.process.kill()
	fresh := h.awaitPrimaryOtherThan(old, h.wardens...)
	vetoed := h.node(warden.NodeID(h.read("veto")))
	if vetoed == nil || fresh == vetoed || fresh == old {
		t.Fatalf("%s was vetoed and %s is the primary", h.read("veto"), fresh.addr)
	}
	leader := slices.IndexFunc(h.wardens, func(w *ward) bool { return w.said("+promoted-slave", fresh.addr.Port()) })
	if leader < 0 {
		t.Fatal("nobody says that it led")
	}
	if w := h.wardens[leader]; !w.said("-promotion-vetoed", vetoed.addr.Port(), "not this one") || !strings.Contains(w.explain(t.Context()), "pre_promote vetoes "+string(vetoed.addr)) {
		t.Errorf("%s does not say who was vetoed, and why:\n%s", w.name, w.explain(t.Context()))
	}
	await(t, "on_failover has run", func() bool { return len(h.told("on_failover")) > 0 })
	stays(t, 9*time.Second, "on_failover has run once", func() bool { return len(h.told("on_failover")) == 1 })
	if got := h.told("on_failover")[0]; got[1] != string(h.wardens[leader].id()) || got[3] != string(fresh.addr) || got[4] != string(old.addr) {
		t.Errorf("on_failover was told %q; %s led, from %s to %s", got, h.wardens[leader].id(), old.addr, fresh.addr)
	}
	for _, w := range h.wardens {
		w.process.signal(t, syscall.SIGINT)
		if code := w.process.exit(t, 20*time.Second); code != 0 {
			t.Errorf("%s ended with %d", w.name, code)
		}
	}
	if got := h.told("on_stop"); len(got) != 3 {
		t.Errorf("on_stop was told %q", got)
	}
}

// Goal (S8): pre_promote is asked about standbys of PostgreSQL, too. The one that it
// vetoes is not promoted, though it is sealed, and nothing acknowledged is lost.
func TestPostgresPrePromoteVetoes(t *testing.T) {
	t.Parallel()
	h := &hookLab{dir: t.TempDir()}
	ask := h.script(t, "ask", vetoFirst)
	pl := startDurable(t, fmt.Sprintf("hooks = { pre_promote = %q }", ask))
	h.lab = pl.lab
	old := pl.servers[0]
	w := pl.writes(300*time.Millisecond, pl.wardens...)
	w.goesOn()
	at := time.Now()
	old.kill()
	took := w.awaitElsewhere(old, at)
	fresh := pl.awaitOther(old, pl.wardens...)
	if vetoed := h.read("veto"); vetoed == "" || vetoed == string(fresh.Addr) {
		t.Errorf("%q was vetoed and %s is the primary", vetoed, fresh.Addr)
	}
	if !anySaid(pl.wardens, "-promotion-vetoed", "not this one") {
		t.Error("nobody says who was vetoed, and why")
	}
	t.Logf("the client wrote again after %s", took.Round(time.Millisecond))
	w.goesOn()
	w.keepsAll(fresh)
}

// Goal: an operator's switchover to a node that is vetoed is cancelled as a whole,
// with the reason, and writes go on.
func TestPrePromoteCancelsASwitchover(t *testing.T) {
	t.Parallel()
	h := startHookLab(t, "")
	w := h.write(5*time.Second, h.wardens...)
	a := h.wardens[0].order("SWITCHOVER", groupName, "TO", string(h.nodes[1].addr))
	if a.Verdict != warden.VerdictRefused || a.Code != "pre-promote" || !strings.Contains(a.Text, "not this one") {
		t.Errorf("answer %+v", a)
	}
	before := w.count()
	await(t, "the client writes on", func() bool { return w.count() > before+20 })
	h.awaitAgreed(h.nodes[0])
	w.stop()
}

// Goal: the leader of a change is killed right after it was agreed: on_switchover
// runs all the same, and with the same event id if it runs again when that is back.
func TestHooksOutliveTheLeader(t *testing.T) {
	t.Parallel()
	h := startHookLab(t, "")
	if err := os.WriteFile(filepath.Join(h.dir, "veto"), []byte("nobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	leader := h.wardens[0]
	leader.restart("repointing")
	h.awaitAgreed(h.nodes[0])
	leader.dieOf("switchover", groupName, "--to", string(h.nodes[1].addr))
	awaitFor(t, 40*time.Second, "on_switchover has run", func() bool { return len(h.told("on_switchover")) > 0 })
	leader.restart("")
	h.awaitAgreed(h.nodes[1])
	var notes map[string]string
	await(t, "the leader has caught up with its hooks", func() bool {
		data, err := os.ReadFile(filepath.Join(leader.dir, "data", "hooks.json"))
		return err == nil && json.Unmarshal(data, &notes) == nil && notes[groupName] == string(h.nodes[1].addr)
	})
	for _, got := range h.told("on_switchover") {
		if first := h.told("on_switchover")[0]; got[2] != first[2] || got[3] != string(h.nodes[1].addr) {
			t.Errorf("on_switchover was told %q and %q", first, got)
		}
	}
	t.Logf("on_switchover was told %q", h.told("on_switchover"))
}

// Goal: a webhook is told of a change of the primary by every Warden, signed.
func TestWebhookIsTold(t *testing.T) {
	t.Parallel()
	const secret = "a secret of the receiver"
	var mu sync.Mutex
	told := map[warden.WardenID]webhook.Message{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m webhook.Message
		if err != nil || json.Unmarshal(body, &m) != nil || r.Header.Get("Warden-Event-Id") != m.ID ||
			r.Header.Get("Warden-Signature") != webhook.Sign([]byte(secret), r.Header.Get("Warden-Timestamp"), body) {
			t.Errorf("told %s with %v", body, r.Header)
		}
		mu.Lock()
		defer mu.Unlock()
		told[m.Warden] = m
	}))
	defer server.Close()
	h := startHookLab(t, fmt.Sprintf("[[webhooks]]\nurl = %q\nsecret = %q\nevents = [\"+switch-*\"]\n", server.URL+"/x", secret))
	old := h.nodes[0]
	old.process.kill()
	fresh := h.awaitPrimaryOtherThan(old, h.wardens...)
	await(t, "every Warden has told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) == 3
	})
	mu.Lock()
	defer mu.Unlock()
	for _, w := range h.wardens {
		if m := told[w.id()]; m.Name != "+switch-master" || m.Group != groupName || m.Node != fresh.addr || !strings.Contains(m.Payload, fresh.addr.Port()) {
			t.Errorf("%s told %+v", w.name, m)
		}
	}
}

// Goal: hooks of a group and webhooks that are added to the files count from SIGHUP
// on; every Warden tells of a node that is added and of one that comes back.
func TestHooksChangeAtOnce(t *testing.T) {
	t.Parallel()
	h := &hookLab{lab: startLab(t), dir: t.TempDir()}
	tell := h.script(t, "tell", `echo "$WARDEN_HOOK $WARDEN_ID $WARDEN_EVENT_ID $WARDEN_NODE" >>told; yes | head -c 1000000`)
	told := make(chan string, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.Header.Get("Warden-Event-Id") }))
	defer server.Close()
	h.rewrite(func(text string) string {
		return text + fmt.Sprintf("[masters.hooks]\non_node_join = %q\non_node_rejoin = %q\n[[webhooks]]\nurl = %q\n", tell, tell, server.URL)
	})
	for _, w := range h.wardens {
		await(t, w.name+" has read its file", func() bool {
			log, err := os.ReadFile(h.path(w.name, "log"))
			return err == nil && strings.Contains(string(log), "msg=reloaded")
		})
	}
	// What they know when hooks are new is no news, and they look twice a second.
	stays(t, 2*time.Second, "no hook has run", func() bool { return h.read("told") == "" })
	fourth := h.addNode(h.nodes[0])
	await(t, "every Warden tells of the new node", func() bool { return len(h.told("on_node_join")) == 3 })
	fourth.process.kill()
	await(t, "every Warden finds it down", func() bool {
		return !slices.ContainsFunc(h.wardens, func(w *ward) bool { return !w.said("+sdown", fourth.addr.Port()) })
	})
	fourth.start()
	await(t, "every Warden tells that it is back", func() bool { return len(h.told("on_node_rejoin")) == 3 })
	for _, got := range append(h.told("on_node_join"), h.told("on_node_rejoin")...) {
		if got[3] != string(fourth.addr) {
			t.Errorf("a hook was told %q, want %s", got, fourth.addr)
		}
	}
	if len(told) == 0 {
		t.Error("the webhook was told of nothing")
	}
}
