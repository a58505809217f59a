//go:build unix

package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"log/syslog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Goal: syslog gets the message alone, with the identity, and the facility and
// level that belong to it, beside the usual line.
func TestSyslog(t *testing.T) {
	// A socket's path must be short, which that of a test's directory is not
	// everywhere.
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "log")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out bytes.Buffer
	j, err := Open(Options{Output: &out, Level: Debug, Syslog: true, SyslogIdent: "sentinel", SyslogFacility: "LOCAL3", syslogSocket: path})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(j)
	for level, want := range map[slog.Level]syslog.Priority{
		Debug: syslog.LOG_DEBUG, Verbose: syslog.LOG_INFO, Notice: syslog.LOG_NOTICE, Warning: syslog.LOG_WARNING, slog.LevelError: syslog.LOG_WARNING,
	} {
		out.Reset()
		log.Log(context.Background(), level, "+sdown", "payload", "master m 10.0.0.1 6379")
		_ = l.SetReadDeadline(time.Now().Add(20 * time.Second))
		packet := make([]byte, 4096)
		n, err := l.Read(packet)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.TrimSpace(string(packet[:n]))
		if !strings.HasPrefix(got, fmt.Sprintf("<%d>", want|syslog.LOG_LOCAL3)) || !strings.HasSuffix(got, fmt.Sprintf("sentinel[%d]: +sdown master m 10.0.0.1 6379", os.Getpid())) {
			t.Errorf("level %v: syslog got %q", level, got)
		}
		if !strings.HasSuffix(out.String(), " +sdown master m 10.0.0.1 6379\n") {
			t.Errorf("level %v: the output got %q", level, out.String())
		}
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	out.Reset()
	log.Info("after")
	if !strings.HasSuffix(out.String(), "after\n") {
		t.Errorf("a closed journal wrote %q", out.String())
	}
}

// Goal: a system without syslog goes on without it.
func TestNoSyslog(t *testing.T) {
	var out bytes.Buffer
	j, err := Open(Options{Output: &out, Syslog: true, syslogSocket: filepath.Join(t.TempDir(), "none")})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		slog.New(j).Info("x")
	}
	if strings.Count(out.String(), "* x\n") != 2 {
		t.Errorf("wrote %q", out.String())
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}
