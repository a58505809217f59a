package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/warden"
)

// identity is a certificate with its key, loaded and as PEM files. It has
// signed itself, so that it is its own CA.
type identity struct {
	pair      tls.Certificate
	cert, key string
	pool      *x509.CertPool
}

func makeIdentity(t *testing.T, name string, hosts ...net.IP) identity {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: hosts}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	fatal(err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	fatal(err)
	dir := t.TempDir()
	id := identity{cert: filepath.Join(dir, name+".crt"), key: filepath.Join(dir, name+".key"), pool: x509.NewCertPool()}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	fatal(os.WriteFile(id.cert, cert, 0o600))
	fatal(os.WriteFile(id.key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), 0o600))
	id.pool.AppendCertsFromPEM(cert)
	id.pair, err = tls.LoadX509KeyPair(id.cert, id.key)
	fatal(err)
	return id
}

// startSecretFake is a fake Warden that serves by TLS alone.
func startSecretFake(t *testing.T, config *tls.Config) *fakeWarden {
	t.Helper()
	srv, err := server.NewServerTLS("127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeWarden{t: t, answer: `{"verdict":"done","text":"it is so"}`}
	f.serve(srv)
	f.status = remote.Status{Self: warden.SelfView{ID: idA, Client: f.addr, Version: "1"}}
	t.Cleanup(srv.Close)
	return f
}

// Goal: the command line reaches Wardens that serve by TLS alone, shows its
// certificate where one is wanted, and says what is missing when it cannot.
// Whom it reaches watches no group, which is answered with Refused.
func TestSecretWardens(t *testing.T) {
	loopback := net.IPv4(127, 0, 0, 1)
	ours, nameless, operator, stranger := makeIdentity(t, "warden", loopback), makeIdentity(t, "nameless"), makeIdentity(t, "operator"), makeIdentity(t, "stranger")
	open := startSecretFake(t, &tls.Config{Certificates: []tls.Certificate{ours.pair}})
	strict := startSecretFake(t, &tls.Config{Certificates: []tls.Certificate{ours.pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: operator.pool})
	unnamed := startSecretFake(t, &tls.Config{Certificates: []tls.Certificate{nameless.pair}})
	plain := startFake(t, idB)
	for name, tt := range map[string]struct {
		server *fakeWarden
		args   string
		env    string
		code   int
		want   string
	}{
		"by its CA":              {open, "--tls-ca " + ours.cert, "", exit.Refused, "no group is watched"},
		"by a variable":          {open, "", "WARDEN_TLS_CA=" + ours.cert, exit.Refused, "no group is watched"},
		"without TLS":            {open, "", "", exit.Unreachable, "try --tls"},
		"by the machine's CAs":   {open, "--tls", "", exit.Unreachable, "name its CA with --tls-ca"},
		"by another CA":          {open, "--tls-ca " + stranger.cert, "", exit.Unreachable, "name its CA with --tls-ca"},
		"with a certificate":     {strict, "--tls-ca " + ours.cert + " --tls-cert " + operator.cert + " --tls-key " + operator.key, "", exit.Refused, "no group is watched"},
		"without a certificate":  {strict, "--tls-ca " + ours.cert, "", exit.Unreachable, "with --tls-cert and --tls-key"},
		"a stranger's":           {strict, "--tls-ca " + ours.cert + " --tls-cert " + stranger.cert + " --tls-key " + stranger.key, "", exit.Unreachable, "with --tls-cert and --tls-key"},
		"another name":           {unnamed, "--tls-ca " + nameless.cert, "", exit.Unreachable, "--tls-any-name"},
		"any name":               {unnamed, "--tls-ca " + nameless.cert + " --tls-any-name", "", exit.Refused, "no group is watched"},
		"any name of any CA":     {unnamed, "--tls-any-name", "", exit.Usage, "name the Wardens' own CA"},
		"a server without TLS":   {plain, "--tls-ca " + ours.cert, "", exit.Unreachable, "leave --tls out"},
		"a certificate alone":    {open, "--tls-cert " + operator.cert, "", exit.Usage, "both --tls-cert and --tls-key"},
		"a CA that is not there": {open, "--tls-ca /nowhere/ca.crt", "", exit.Usage, "/nowhere/ca.crt"},
	} {
		t.Run(name, func(t *testing.T) {
			if key, value, ok := strings.Cut(tt.env, "="); ok {
				t.Setenv(key, value)
			}
			var out, errs strings.Builder
			p := &program{out: &out, errs: &errs}
			code := p.run(t.Context(), append([]string{"spineldb", "status", "--timeout", "20s", "--server", tt.server.addr}, strings.Fields(tt.args)...))
			if code != tt.code || !strings.Contains(out.String()+errs.String(), tt.want) {
				t.Errorf("it ended with %d, want %d with %q, and said\n%s%s", code, tt.code, tt.want, &out, &errs)
			}
		})
	}
}
