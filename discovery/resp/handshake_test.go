package resp

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// selfSigned is a certificate for 127.0.0.1, and the pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// startTLS serves by TLS, and returns the address and what clients trust.
func startTLS(t *testing.T, change func(*Options)) (*Server, string, *x509.CertPool) {
	t.Helper()
	s := startServer(t, newFake(), change)
	pair, pool := selfSigned(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}})); err != nil {
		t.Fatal(err)
	}
	return s, l.Addr().String(), pool
}

// secretly connects by TLS, asks PING and wants an answer.
func secretly(t *testing.T, addr string, pool *x509.CertPool) *tls.Conn {
	t.Helper()
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", addr, &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || line != "+PONG\r\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	return conn
}

// silent connects and says nothing.
func silent(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// Goal: a client that never shakes hands delays nobody, and does not stay.
func TestSilentHandshake(t *testing.T) {
	_, addr, pool := startTLS(t, func(o *Options) { o.HandshakeTimeout = time.Second })
	slow := silent(t, addr)
	began := time.Now()
	secretly(t, addr, pool)
	if _, err := io.ReadAll(slow); err != nil {
		t.Errorf("the silent client is still served after %v: %v", time.Since(began), err)
	}
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("the silent client was cut after %v", took)
	}
}

// Goal: plain text on the port for TLS ends at once and without an answer.
func TestPlainTextOnTLS(t *testing.T) {
	_, addr, pool := startTLS(t, nil)
	plain := silent(t, addr)
	if _, err := plain.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(plain); string(got) == "+PONG\r\n" {
		t.Errorf("got %q", got)
	}
	secretly(t, addr, pool)
}

// Goal: where there is no room, a silent client is turned away at once, so that
// the next one is too, and room that was given back is used.
func TestTurnedAwayByTLS(t *testing.T) {
	s, addr, pool := startTLS(t, func(o *Options) { o.MaxClients = 1 })
	first := secretly(t, addr, pool)
	for range 3 {
		if got, err := io.ReadAll(silent(t, addr)); len(got) > 0 || isTimeout(err) {
			t.Fatalf("got %q, %v", got, err)
		}
	}
	if got := s.stats.rejected.Load(); got != 3 {
		t.Errorf("%d were counted", got)
	}
	_ = first.Close()
	for limit := time.Now().Add(20 * time.Second); ; {
		s.mu.Lock()
		n := len(s.clients)
		s.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the client that left is still counted")
		}
		<-time.After(time.Millisecond)
	}
	secretly(t, addr, pool)
}

func isTimeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// Goal: a shutdown waits neither for a handshake nor for a good-bye.
func TestShutdownDuringHandshake(t *testing.T) {
	s, addr, pool := startTLS(t, func(o *Options) { o.HandshakeTimeout = time.Hour })
	slow := silent(t, addr)
	secretly(t, addr, pool)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(slow); isTimeout(err) {
		t.Error("the silent client is still connected")
	}
}
