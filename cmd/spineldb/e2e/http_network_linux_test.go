package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Goal (S9): the primary is cut off together with one Warden, and goes on taking
// writes there. The Warden on its side stops calling it the primary by HTTP, and
// only after that another Warden calls the new one so.
func TestHTTPInAPartition(t *testing.T) {
	t.Parallel()
	if without("netns") {
		t.Log("no network was cut: this machine may not make namespaces (WARDEN_E2E_WITHOUT)")
		return
	}
	n := newNetwork(t, "h")
	l := newLabOn(t, n, thereAddr, thereAddr, withWeb)
	old, alone := l.nodes[0], l.wardens[2]
	stop := l.onePrimary(l.addresses)
	for _, w := range l.wardens {
		await(t, w.name+" names the primary by HTTP", func() bool { return w.check(t.Context(), "primary", old.addr).status == http.StatusOK })
	}
	began := time.Now()
	n.cut()
	fresh := l.awaitPromoted(old)
	promoted := time.Since(began)
	await(t, "the cut off Warden does not name the old primary any more", func() bool {
		a := alone.check(t.Context(), "primary", old.addr)
		return a.status == http.StatusServiceUnavailable && strings.Contains(a.body, "does not hear a majority")
	})
	silent := time.Since(began)
	await(t, "the others name the new primary by HTTP", func() bool {
		return l.wardens[0].check(t.Context(), "primary", fresh.addr).status == http.StatusOK && l.wardens[1].check(t.Context(), "primary", fresh.addr).status == http.StatusOK
	})
	t.Logf("after the cut: promoted %s, the old one named no more %s, the new one named %s", milliseconds(promoted), milliseconds(silent), milliseconds(time.Since(began)))
	if !old.isPrimary() {
		t.Error("the old primary was not one any more, so that nothing was proved")
	}
	n.join()
	l.awaitAgreed(fresh)
	await(t, "all Wardens name the new primary by HTTP", func() bool {
		for _, w := range l.wardens {
			if w.check(t.Context(), "primary", fresh.addr).status != http.StatusOK {
				return false
			}
		}
		return true
	})
	if count := stop(); count[old.addr] == 0 || count[fresh.addr] == 0 {
		t.Errorf("who said yes: %v", count)
	}
}

// awaitPromoted waits until the first two Wardens have another primary than old.
func (l *lab) awaitPromoted(old *node) (fresh *node) {
	l.t.Helper()
	await(l.t, "the majority has a new primary", func() bool {
		a, b := l.wardens[0].served(), l.wardens[1].served()
		fresh = l.node(a)
		return a == b && a != old.addr && fresh != nil && fresh.isPrimary()
	})
	return fresh
}
