package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/config"
)

// material is what the files said at one time. It never changes.
type material struct {
	own     *tls.Certificate // nil: none
	forNode *tls.Certificate // what nodes are shown, nil: none
	pool    *x509.CertPool   // nil: no CA, so nobody is verified
	server  *tls.Config      // nil: no own certificate
}

// served is the certificate that clients are shown.
func (m *material) served() (*tls.Certificate, error) {
	if m.own == nil {
		return nil, errors.New("no certificate: set tls-cert-file and tls-key-file")
	}
	return m.own, nil
}

// shown is the certificate that nodes are shown. An empty one is none.
func (m *material) shown() *tls.Certificate {
	if m.forNode == nil {
		return &tls.Certificate{}
	}
	return m.forNode
}

// load reads all files, or fails.
func load(c config.TLS) (*material, error) {
	auth, err := clientAuth(c.ClientAuth)
	if err != nil {
		return nil, err
	}
	low, high, err := versions(c.Protocols)
	if err != nil {
		return nil, err
	}
	m := &material{}
	if m.own, err = loadPair(c.CertFile, c.KeyFile, c.KeyPassword); err != nil {
		return nil, err
	}
	if m.own == nil && c.Port != 0 {
		return nil, errors.New("serve clients by TLS: there is no certificate: set tls-cert-file and tls-key-file")
	}
	if m.forNode, err = loadPair(c.ClientCertFile, c.ClientKeyFile, c.ClientKeyPassword); err != nil {
		return nil, err
	}
	if m.forNode == nil {
		m.forNode = m.own
	}
	if m.pool, err = loadPool(c.CAFile, c.CADir); err != nil {
		return nil, err
	}
	switch {
	case m.pool != nil:
	case c.Nodes:
		return nil, errors.New("reach nodes by TLS: there is no CA to verify them with: set tls-ca-cert-file")
	case c.Port != 0 && auth != tls.NoClientCert:
		return nil, errors.New("verify clients: there is no CA to verify them with: set tls-ca-cert-file, or tls-auth-clients no")
	}
	if m.own != nil {
		m.server = &tls.Config{
			MinVersion: low, MaxVersion: high, Certificates: []tls.Certificate{*m.own},
			ClientAuth: auth, ClientCAs: m.pool,
			// A resumed session would outlive the CA that vouched for its client.
			SessionTicketsDisabled: true,
		}
	}
	return m, nil
}

// clientAuth reads tls-auth-clients. As in Sentinel, saying nothing is the
// strictest.
func clientAuth(word string) (tls.ClientAuthType, error) {
	switch strings.ToLower(word) {
	case "yes", "":
		return tls.RequireAndVerifyClientCert, nil
	case "optional":
		return tls.VerifyClientCertIfGiven, nil
	case "no":
		return tls.NoClientCert, nil
	}
	return 0, fmt.Errorf("read tls-auth-clients: %q is none of yes, no and optional", word)
}

// versions reads tls-protocols. Versions before 1.2 may be named and are not
// spoken.
func versions(list string) (low, high uint16, err error) {
	known := map[string]uint16{"tlsv1": 0, "tlsv1.1": 0, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13}
	words := strings.Fields(strings.ToLower(list))
	if len(words) == 0 {
		return tls.VersionTLS12, tls.VersionTLS13, nil
	}
	for _, word := range words {
		v, ok := known[word]
		switch {
		case !ok:
			return 0, 0, fmt.Errorf("read tls-protocols: %q is unknown: name TLSv1.2, TLSv1.3 or both", word)
		case v == 0:
		case low == 0:
			low, high = v, v
		default:
			low, high = min(low, v), max(high, v)
		}
	}
	if low == 0 {
		return 0, 0, fmt.Errorf("read tls-protocols: %q names only versions that are not safe: add TLSv1.2 or TLSv1.3", list)
	}
	return low, high, nil
}

// loadPair reads a certificate with its key; nil where no file is named.
func loadPair(certFile, keyFile string, password config.Secret) (*tls.Certificate, error) {
	switch {
	case certFile == "" && keyFile == "":
		return nil, nil
	case keyFile == "":
		return nil, fmt.Errorf("load certificate %s: its key file is not named: set tls-key-file too", certFile)
	case certFile == "":
		return nil, fmt.Errorf("load key %s: its certificate file is not named: set tls-cert-file too", keyFile)
	}
	cert, _, err := config.ReadSmallFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", certFile, err)
	}
	key, _, err := config.ReadSmallFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", keyFile, err)
	}
	if key, err = decrypt(key, string(password)); err != nil {
		return nil, fmt.Errorf("read key %s: %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load certificate %s with key %s: %w: both must be PEM files, and belong together", certFile, keyFile, err)
	}
	return &pair, nil
}

// loadPool reads the certificates of CAs; nil where none is named.
func loadPool(file, dir string) (*x509.CertPool, error) {
	if file == "" && dir == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if file != "" {
		text, _, err := config.ReadSmallFile(file)
		if err != nil {
			return nil, fmt.Errorf("read CA certificates %s: %w", file, err)
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("read CA certificates %s: it contains none: a PEM file with BEGIN CERTIFICATE is needed", file)
		}
	}
	if dir == "" {
		return pool, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read directory of CA certificates: %w", err)
	}
	found := false
	for _, e := range entries {
		// Such a directory holds other things too, so what is no certificate is
		// passed over.
		if text, _, err := config.ReadSmallFile(filepath.Join(dir, e.Name())); err == nil {
			found = pool.AppendCertsFromPEM(text) || found
		}
	}
	if !found && file == "" {
		return nil, fmt.Errorf("read directory of CA certificates %s: it contains none: PEM files with BEGIN CERTIFICATE are needed", dir)
	}
	return pool, nil
}
