package postgres

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// selfSigned is a certificate for 127.0.0.1 that signs itself, and its key.
func selfSigned(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return block("CERTIFICATE", der), block("EC PRIVATE KEY", secret)
}

// Goal: over TLS, with a password, everything works: looks, orders, holds that
// end by themselves, and the ends of old sessions. A wrong root is no death.
func TestTLS(t *testing.T) {
	certificate, key := selfSigned(t)
	other, _ := selfSigned(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// The server finds its files in its own directory, which is made by launch.
	s := start(t, shape{hba: "host all postgres 127.0.0.1/32 trust\nhostssl all all 127.0.0.1/32 scram-sha-256"})
	s.write("server.crt", certificate)
	s.write("server.key", key)
	s.must("ALTER SYSTEM SET ssl = on")
	s.must("SELECT pg_reload_conf()")
	adaptertest.Await(t, "the server offers TLS", func() bool { return s.must("SHOW ssl") == "on" })

	o := Options{User: "warden", PasswordFile: file("password", "choose one\n"), SSLMode: "verify-full", SSLRootCert: file("root.crt", certificate)}
	a := New(o)
	link := a.Open(s.node, warden.LinkEvents{})
	defer link.Close()
	if seen := link.Look(soon(t)); seen.Health != warden.HealthGood {
		t.Fatalf("look: %s (%s)", seen.Health, seen.Detail)
	}
	if err := link.Knock(soon(t)); err != nil {
		t.Errorf("knock: %v", err)
	}
	session, res := a.Claim(soon(t), s.node, testClaim(1))
	done(t, "claim", res)
	defer session.Close()
	if res := session.Hold(soon(t), 200*warden.Millisecond); res.Outcome != warden.Done {
		t.Errorf("hold: %+v", res)
	}
	newer, res := a.Claim(soon(t), s.node, testClaim(2))
	done(t, "newer claim", res)
	defer newer.Close()
	if res := session.Promote(soon(t), nil); res.Outcome != warden.Refused {
		t.Errorf("order of the older leader: %+v, want refused", res)
	}
	if res := newer.Hold(soon(t), 200*warden.Millisecond); res.Outcome != warden.Done {
		t.Errorf("hold: %+v", res)
	}
	adaptertest.Await(t, "a write after the hold", func() bool { return s.Write(t.Context(), 1) == nil })

	o.SSLRootCert = file("other.crt", other)
	wrong := New(o).Open(s.node, warden.LinkEvents{})
	defer wrong.Close()
	if seen := wrong.Look(soon(t)); seen.Health != warden.HealthDenied {
		t.Errorf("look with a wrong root: %+v, want denied", seen)
	}
}
