package resp

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Goal: a Sentinel that is listed in two groups shares one link between them, as
// a real one shows it, and so does a Warden; who is listed once does not.
func TestLinksAreShared(t *testing.T) {
	dir := newFake()
	dir.Lock()
	dir.Views[1].Peers = dir.Views[0].Peers[:1:1]
	dir.Unlock()
	p := dial(t, startServer(t, dir, nil))
	both := p.ask("SENTINEL", "SENTINELS", "mymaster")
	wantIn(t, both, "link-refcount\r\n$1\r\n2\r\n", "link-refcount\r\n$1\r\n1\r\n")
	wantIn(t, p.ask("SENTINEL", "SENTINELS", "waiting"), "link-refcount\r\n$1\r\n2\r\n")
	wantIn(t, p.ask("SENTINEL", "MASTER", "mymaster"), "link-refcount\r\n$1\r\n1\r\n")
	dir.Lock()
	dir.Views[1].Peers = nil
	dir.Unlock()
	eventually(t, "the link to be used once", func() bool {
		return !strings.Contains(p.ask("SENTINEL", "SENTINELS", "mymaster"), "link-refcount\r\n$1\r\n2\r\n")
	})
}

// Goal: what TestLinksAreShared expects is what Redis Sentinel does.
func TestSentinelSharesLinks(t *testing.T) {
	dir := t.TempDir()
	primary, other := freePort(t), freePort(t)
	startRedis(t, dir, "--port", primary, "--save", "")
	startRedis(t, dir, "--port", other, "--save", "")
	var ports [2]string
	for i := range ports {
		ports[i] = freePort(t)
		file := filepath.Join(dir, fmt.Sprintf("sentinel%d.conf", i))
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor a 127.0.0.1 %s 2\nsentinel monitor b 127.0.0.1 %s 2\n", ports[i], primary, other)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		startRedis(t, dir, file, "--sentinel")
	}
	for _, group := range []string{"a", "b"} {
		eventually(t, "a link for both groups", func() bool {
			return strings.Contains(askOnce("127.0.0.1:"+ports[0], "SENTINEL", "SENTINELS", group), "link-refcount\r\n$1\r\n2\r\n")
		})
	}
	if got := askOnce("127.0.0.1:"+ports[0], "SENTINEL", "MASTER", "a"); !strings.Contains(got, "link-refcount\r\n$1\r\n1\r\n") {
		t.Errorf("the master's link is shared too: %q", got)
	}
}
