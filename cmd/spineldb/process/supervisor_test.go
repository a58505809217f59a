//go:build unix

package process

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Goal: the supervisor gets the words, by a file and by a name alone; nobody is
// told where there is none, and one that is gone is an error.
func TestTell(t *testing.T) {
	dir, err := os.MkdirTemp("", "notify") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	if !Supervised() {
		t.Error("no supervisor is seen")
	}
	if err := Tell(Ready); err != nil {
		t.Fatal(err)
	}
	_ = l.SetReadDeadline(time.Now().Add(20 * time.Second))
	packet := make([]byte, 100)
	n, err := l.Read(packet)
	if err != nil || string(packet[:n]) != Ready {
		t.Errorf("it was told %q, %v", packet[:n], err)
	}
	t.Setenv("NOTIFY_SOCKET", path+"gone")
	if err := Tell(Ready); err == nil {
		t.Error("a supervisor that is gone was told")
	}
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Tell(Ready); err != nil || Supervised() {
		t.Errorf("without a supervisor: %v", err)
	}
}
