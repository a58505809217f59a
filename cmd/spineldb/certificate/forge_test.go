package certificate

import (
	"bytes"
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
	"testing"
	"time"
)

// forge makes certificates in a directory of the test.
type forge struct {
	t   *testing.T
	dir string
}

func newForge(t *testing.T) *forge { return &forge{t, t.TempDir()} }

// signer is a CA.
type signer struct {
	forge *forge
	leaf  *x509.Certificate
	key   *ecdsa.PrivateKey
	file  string
}

func (f *forge) ca(name string) *signer {
	f.t.Helper()
	key := f.key()
	form := &x509.Certificate{
		SerialNumber: f.serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	f.fatal(err)
	leaf, err := x509.ParseCertificate(der)
	f.fatal(err)
	return &signer{f, leaf, key, f.write(name+".crt", block("CERTIFICATE", der))}
}

// sign writes NAME.crt and NAME.key. Without uses the certificate is good for
// clients and servers.
func (s *signer) sign(name string, hosts []net.IP, uses ...x509.ExtKeyUsage) (certFile, keyFile string) {
	s.forge.t.Helper()
	f, key := s.forge, s.forge.key()
	form := &x509.Certificate{
		SerialNumber: f.serial(), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: uses, IPAddresses: hosts,
	}
	der, err := x509.CreateCertificate(rand.Reader, form, s.leaf, key.Public(), s.key)
	f.fatal(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	f.fatal(err)
	return f.write(name+".crt", block("CERTIFICATE", der)), f.write(name+".key", block("PRIVATE KEY", pkcs8))
}

// pair is a signed certificate, loaded.
func (s *signer) pair(name string, hosts []net.IP, uses ...x509.ExtKeyUsage) tls.Certificate {
	s.forge.t.Helper()
	certFile, keyFile := s.sign(name, hosts, uses...)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	s.forge.fatal(err)
	return pair
}

func (s *signer) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.leaf)
	return pool
}

func (f *forge) key() *ecdsa.PrivateKey {
	f.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	f.fatal(err)
	return key
}

func (f *forge) serial() *big.Int {
	f.t.Helper()
	n, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	f.fatal(err)
	return n
}

// write replaces a file as careful tools do, by a new one under its name.
func (f *forge) write(name string, text []byte) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	f.fatal(os.WriteFile(path+".new", text, 0o600))
	f.fatal(os.Rename(path+".new", path))
	return path
}

func (f *forge) fatal(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func block(kind string, der []byte) []byte {
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: kind, Bytes: der})
	return b.Bytes()
}

var loopback = []net.IP{net.IPv4(127, 0, 0, 1)}

// shake joins a server and a client over a socket, and returns what each has to
// say: the client's name as the server knows it, and the server's leaf.
func shake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error, leaf *x509.Certificate) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		s := tls.Server(conn, server)
		if err := s.Handshake(); err != nil {
			done <- err
			return
		}
		_, err = s.Write([]byte("x"))
		done <- err
	}()
	conn, err := net.DialTimeout("tcp", l.Addr().String(), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	client = client.Clone()
	client.ServerName = "127.0.0.1" // as the adapter for nodes does
	c := tls.Client(conn, client)
	if clientErr = c.Handshake(); clientErr == nil {
		leaf = c.ConnectionState().PeerCertificates[0]
		// With TLS 1.3 a client learns only now that it was refused.
		_, clientErr = c.Read(make([]byte, 1))
	}
	_ = conn.Close()
	return <-done, clientErr, leaf
}
