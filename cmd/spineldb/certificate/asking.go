package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

// Asking is how the command line speaks TLS to Wardens: once, with files that
// are read at its start.
type Asking struct {
	// CAFile has signed the Wardens' certificates; empty: the CAs that this
	// machine trusts.
	CAFile string
	// CertFile and KeyFile are shown to Wardens that want a certificate.
	CertFile, KeyFile string
	// AnyName takes a certificate of CAFile whatever host it names.
	AnyName bool
}

// Config reads the files. The server's certificate must name the host that was
// asked, unless AnyName is set.
func (a Asking) Config() (*tls.Config, error) {
	if (a.CertFile == "") != (a.KeyFile == "") {
		return nil, errors.New("load certificate: a certificate and its key go together: give both --tls-cert and --tls-key")
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	pair, err := loadPair(a.CertFile, a.KeyFile, "")
	if err != nil {
		return nil, err
	}
	if pair != nil {
		c.Certificates = []tls.Certificate{*pair}
	}
	if c.RootCAs, err = loadPool(a.CAFile, ""); err != nil {
		return nil, err
	}
	if a.AnyName {
		if c.RootCAs == nil {
			return nil, errors.New("accept any name: every certificate on the internet would do: name the Wardens' own CA with --tls-ca")
		}
		c.InsecureSkipVerify = true // the next line verifies all but the name
		c.VerifyConnection = func(s tls.ConnectionState) error { return verify(s, c.RootCAs) }
	}
	return c, nil
}

// IsWrongName reports whether a certificate was refused for the name in it alone.
func IsWrongName(err error) bool {
	var wrong x509.HostnameError
	return errors.As(err, &wrong)
}
