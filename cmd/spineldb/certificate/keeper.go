// Package certificate makes TLS configurations from PEM files and keeps them
// fresh: when a file changes, the handshakes from then on use what it says now.
// Connections that stand are not touched.
//
// Toward clients and toward nodes Sentinel's rule holds: a certificate counts
// when the CA that was configured has signed it for this use, whatever host it
// names. Nodes are reached by addresses that change, and what operators have
// made for Sentinel rarely names them. So whoever has a server certificate of
// that CA can pose as a node: keep the CA for the databases alone.
package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
)

// checkEvery is how often handshakes look whether a file has changed.
const checkEvery = time.Second

// Keeper holds what was last read from the files. All its methods are safe for
// concurrent use. It owns no goroutine and no open file.
type Keeper struct {
	settings config.TLS
	report   func(error)

	present atomic.Pointer[material]
	// checked is when the files were last looked at, in nanoseconds since began.
	began   time.Time
	checked atomic.Int64

	mu   sync.Mutex // for whoever reads files
	seen []fileState
}

// Open reads the files. Report is called for every later change of them: with
// nil when it was taken, else once with the reason why it was not, while the
// old certificates go on being used. It is called from handshakes and should
// not block; nil is allowed. An error names the file and the remedy.
func Open(c config.TLS, report func(error)) (*Keeper, error) {
	if report == nil {
		report = func(error) {}
	}
	k := &Keeper{settings: c, report: report, began: time.Now()}
	if err := k.Reload(); err != nil {
		return nil, err
	}
	return k, nil
}

// Server is the configuration of the port for clients. It follows the files,
// so it is asked for once.
func (k *Keeper) Server() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.current().server, nil },
		// Asked for on no connection, but tls.Listen wants a certificate.
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.current().served() },
	}
}

// Client is the configuration of connections to nodes. It follows the files, so
// it is asked for once. Sessions are not resumed: a resumed one would outlive
// the CA that vouched for it.
func (k *Keeper) Client() *tls.Config {
	low, high, _ := versions(k.settings.Protocols) // Open has checked it
	return &tls.Config{
		MinVersion: low, MaxVersion: high,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return k.current().shown(), nil },
		// The fixed rule of the library is replaced by one that follows the
		// files; it is run on every handshake.
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { return verify(s, k.current().pool) },
	}
}

// Reload reads the files now, changed or not. When it fails, the old
// certificates go on being used.
func (k *Keeper) Reload() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.read(k.look())
}

// current is what counts for a handshake now. One handshake in a second looks
// at the files; the others do not wait for it.
func (k *Keeper) current() *material {
	now, last := int64(time.Since(k.began)), k.checked.Load()
	if now-last < int64(checkEvery) || !k.checked.CompareAndSwap(last, now) || !k.mu.TryLock() {
		return k.present.Load()
	}
	files := k.look()
	var err error
	changed := !slices.EqualFunc(files, k.seen, fileState.same)
	if changed {
		err = k.read(files)
	}
	k.mu.Unlock()
	if changed {
		k.report(err)
	}
	return k.present.Load()
}

// read takes what is in the files. The lock is held. The state of the files was
// looked at before, so that a change during the reading is a change.
func (k *Keeper) read(files []fileState) error {
	k.seen = files
	m, err := load(k.settings)
	if err != nil {
		return err
	}
	k.present.Store(m)
	return nil
}

func (k *Keeper) look() []fileState {
	var files []fileState
	c := k.settings
	for _, name := range []string{c.CertFile, c.KeyFile, c.CAFile, c.CADir, c.ClientCertFile, c.ClientKeyFile} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			info = nil
		}
		files = append(files, fileState{info})
	}
	return files
}

// fileState tells one state of a file from the next; nil: it is not there.
type fileState struct{ info fs.FileInfo }

func (s fileState) same(o fileState) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}

// verify is the check of a server's certificate, without its name.
func verify(s tls.ConnectionState, pool *x509.CertPool) error {
	switch {
	case pool == nil:
		// No pool would mean all the CAs that this machine trusts, which sign
		// for everybody, and without the name that is no check at all.
		return errors.New("verify certificate: no CA is configured: set tls-ca-cert-file")
	case len(s.PeerCertificates) == 0:
		return errors.New("verify certificate: the server showed none")
	}
	middle := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		middle.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool, Intermediates: middle})
	if err != nil {
		return fmt.Errorf("verify certificate: %w", err)
	}
	return nil
}
