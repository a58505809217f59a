package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// Goal: the scripts of a group are called as Sentinel calls them: for warnings,
// and once per Warden for a change of the primary, as leader or observer.
func TestDropInScripts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$*\" >> "+calls+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	l := startLab(t, dropIn, func(s *settings) {
		s.group = "sentinel notification-script " + groupName + " " + script + "\nsentinel client-reconfig-script " + groupName + " " + script
	})
	old := l.nodes[0]
	old.process.kill()
	fresh := l.awaitPrimaryOtherThan(old, l.wardens...)
	move := " start " + old.addr.Host() + " " + old.addr.Port() + " " + fresh.addr.Host() + " " + fresh.addr.Port()
	count := func(line string) (n int) {
		data, _ := os.ReadFile(calls) // not there before the first call
		for have := range strings.Lines(string(data)) {
			if strings.TrimSpace(have) == line {
				n++
			}
		}
		return n
	}
	await(t, "each Warden has told its scripts", func() bool {
		return count(groupName+" leader"+move) == 1 && count(groupName+" observer"+move) == 2 &&
			count("+switch-master "+groupName+" "+old.addr.Host()+" "+old.addr.Port()+" "+fresh.addr.Host()+" "+fresh.addr.Port()) == 3
	})
	if n := count("+sdown master " + groupName + " " + old.addr.Host() + " " + old.addr.Port()); n == 0 {
		t.Error("nobody told the script that the primary is down")
	}
}

// Goal: SIMULATE-FAILURE ends the Warden that leads with status 99 at the point
// named, and the others finish what it began.
func TestDropInSimulatedFailure(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"crash-after-election", "crash-after-promotion"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			l := startLab(t, dropIn)
			old, leader := l.nodes[0], l.wardens[0]
			leader.must("SIMULATE-FAILURE", flag)
			// Who is asked leads, and may die before it has answered.
			_ = leader.sentinel("FAILOVER", groupName)
			if code := leader.process.exit(t, patience); code != 99 {
				t.Errorf("it ended with %d, want 99", code)
			}
			leader.start()
			var now *node
			await(t, "all agree on one primary again", func() bool {
				now = l.node(leader.served())
				return now != nil && l.healthy(now)
			})
			if flag == "crash-after-promotion" && now == old {
				t.Error("the replica was promoted, and is not the primary")
			}
		})
	}
}

var sentinelLine = regexp.MustCompile(`^[1-9]\d*:X \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} [.*#-] `)

// Goal: in normal operation nothing is printed but lines of Sentinel's form.
func TestDropInIsQuiet(t *testing.T) {
	t.Parallel()
	l := startLab(t, dropIn)
	for _, w := range l.wardens {
		w.terminate()
		for line := range strings.SplitSeq(w.process.tail(1000), "\n") {
			if !sentinelLine.MatchString(line) {
				t.Errorf("%s printed %q", w.name, line)
			}
		}
	}
}

// Goal: in the background, with TLS alone: the starting process ends when
// clients are served, pidfile and logfile are there, SIGTERM ends it and takes
// the pidfile away.
func TestDropInInBackgroundByTLS(t *testing.T) {
	t.Parallel()
	l := newLab(t, "127.0.0.1")
	l.settings.dropIn = true
	l.addNode(nil)
	w := l.prepareWarden()
	cert, pool := l.certificate()
	w.write("bind 127.0.0.1\nport 0\ntls-port " + w.port() + "\ntls-cert-file cert.pem\ntls-key-file cert.pem\ntls-ca-cert-file cert.pem\ntls-auth-clients no\n" +
		"dir " + filepath.Dir(cert) + "\ndaemonize yes\npidfile w.pid\nlogfile w.log\nrequirepass secret\n" +
		"sentinel monitor " + groupName + " 127.0.0.1 " + l.nodes[0].addr.Port() + " 2\n")
	w.launch()
	if code := w.process.exit(t, patience); code != 0 {
		t.Fatalf("the starting process ended with %d:\n%s", code, w.process.tail(10))
	}
	pidfile := filepath.Join(filepath.Dir(cert), "w.pid")
	text, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Fatalf("the pidfile holds %q: %v", text, err)
	}
	ended := false
	defer func() {
		if !ended {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}()
	client := redis.NewClient(&redis.Options{Addr: w.addr, Password: "secret", TLSConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	defer client.Close()
	if err := client.Ping(l.ctx(patience)).Err(); err != nil {
		t.Errorf("as soon as it is ready it answers %v", err)
	}
	await(t, "it names the primary by TLS", func() bool {
		got, err := client.Do(l.ctx(patience), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", groupName).StringSlice()
		return err == nil && len(got) == 2 && got[1] == l.nodes[0].addr.Port()
	})
	if plain := l.newWardenClient(w.addr); plain.Ping(l.ctx(5*time.Second)).Err() == nil {
		t.Error("it answers without TLS")
	}
	if data, err := os.ReadFile(filepath.Join(filepath.Dir(cert), "w.log")); err != nil || !strings.Contains(string(data), "Sentinel ID is ") {
		t.Errorf("the log: %v\n%s", err, data)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	await(t, "the pidfile is gone", func() bool {
		_, err := os.Stat(pidfile)
		return os.IsNotExist(err)
	})
	ended = true
}

// certificate makes a file with a key and a certificate for this machine that
// vouches for itself.
func (l *lab) certificate() (file string, pool *x509.CertPool) {
	l.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(warden.NodeID(l.wardens[0].addr).Host())}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		l.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		l.t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})...)
	file = filepath.Join(l.t.TempDir(), "cert.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		l.t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		l.t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(made)
	return file, pool
}
