//go:build unix

package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// program finds a program of Redis. Without it these tests mean nothing.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("find %s (scripts/test installs it): %v", name, err)
	}
	return path
}

// Goal: a real redis-server that serves by TLS alone and wants certificates is
// watched with those of sentinel.conf, although its own names no host; whoever
// trusts another CA finds it broken.
func TestRealNode(t *testing.T) {
	f := newForge(t)
	ours, theirs := f.ca("ours"), f.ca("theirs")
	cert, key := ours.sign("node", nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.fatal(err)
	port := l.Addr().(*net.TCPAddr).Port
	f.fatal(l.Close())
	file := filepath.Join(f.dir, "redis.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport 0\ntls-port %d\ntls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-auth-clients yes\nsave \"\"\ndir %s\n", port, cert, key, ours.file, f.dir)
	f.fatal(os.WriteFile(file, []byte(text), 0o600))
	node := warden.MakeNode("127.0.0.1", port)
	adaptertest.Launch(t, exec.Command(program(t, "redis-server"), file)).Serves(node)
	adaptertest.Await(t, "redis-server accepts connections", func() bool {
		conn, err := net.Dial("tcp", string(node))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})

	cert, key = ours.sign("warden", nil)
	look := func(c config.TLS) warden.Observation {
		link := spineldb.New(spineldb.Options{TLS: opened(t, c, nil).Client(), DialTimeout: 10 * time.Second}).Open(node, warden.LinkEvents{})
		defer link.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return link.Look(ctx)
	}
	if o := look(config.TLS{CertFile: cert, KeyFile: key, CAFile: ours.file, Nodes: true}); o.Health != warden.HealthGood || o.Role != warden.RolePrimary {
		t.Errorf("with the right files it is seen as %+v", o)
	}
	if o := look(config.TLS{CertFile: cert, KeyFile: key, CAFile: theirs.file, Nodes: true}); o.Health == warden.HealthGood {
		t.Errorf("with another CA it is seen as %+v", o)
	}
	if o := look(config.TLS{CAFile: ours.file, Nodes: true}); o.Health == warden.HealthGood {
		t.Errorf("without a certificate it is seen as %+v", o)
	}
}

// silentDirectory knows nothing; PING does not ask it.
type silentDirectory struct{ warden.Directory }

// Goal: redis-cli, unmodified, talks to our port by TLS if it shows a
// certificate of the CA.
func TestRealClient(t *testing.T) {
	f := newForge(t)
	ours, theirs := f.ca("ours"), f.ca("theirs")
	cert, key := ours.sign("warden", nil)
	k := opened(t, config.TLS{Port: 1, CertFile: cert, KeyFile: key, CAFile: ours.file, ClientAuth: "yes"}, nil)
	s, err := resp.New(resp.Options{Directory: silentDirectory{}})
	f.fatal(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	f.fatal(err)
	f.fatal(s.Serve(tls.NewListener(l, k.Server())))
	port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	good, goodKey := ours.sign("client", nil)
	bad, badKey := theirs.sign("stranger", nil)
	for name, tt := range map[string]struct {
		args []string
		want bool
	}{
		"a certificate of the CA":  {[]string{"--tls", "--cacert", ours.file, "--cert", good, "--key", goodKey}, true},
		"none":                     {[]string{"--tls", "--cacert", ours.file}, false},
		"one of another":           {[]string{"--tls", "--cacert", ours.file, "--cert", bad, "--key", badKey}, false},
		"another CA for the other": {[]string{"--tls", "--cacert", theirs.file, "--cert", good, "--key", goodKey}, false},
		"no TLS":                   {nil, false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		out, _ := exec.CommandContext(ctx, program(t, "redis-cli"), append(append([]string{"-p", port}, tt.args...), "PING")...).CombinedOutput()
		cancel()
		if got := strings.TrimSpace(string(out)) == "PONG"; got != tt.want {
			t.Errorf("with %s it said %q", name, out)
		}
	}
}
