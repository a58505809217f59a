package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/spineldb/warden/cmd/spineldb/certificate"
	"github.com/spineldb/warden/cmd/spineldb/wording"
)

// errEnded is a TLS connection that the server ended without an answer. With
// TLS 1.3 it refuses a client's certificate after the client's side of the
// handshake, and its reason may be lost when we write before we read.
var errEnded = errors.New("connection ended")

// marked notes that the connection that failed was one by TLS.
func marked(err error) error {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return fmt.Errorf("%w: %w", errEnded, err)
		}
	}
	return err
}

// whyTLS words what is wrong with a TLS connection; empty: nothing, or what
// is wrong has nothing to do with TLS.
func whyTLS(err error) string {
	const giveOne = ": give a certificate that it accepts with --tls-cert and --tls-key"
	var plain tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var operation *net.OpError
	switch {
	case errors.As(err, &plain):
		return "does not speak TLS on this port: leave --tls out, or name its port for TLS"
	case certificate.IsWrongName(err):
		return fmt.Sprintf("its certificate is for another host (%s): name it as its certificate does, or give --tls-any-name", wording.Shown(err.Error()))
	case errors.As(err, &unknown):
		return "its certificate was signed by nobody that is trusted: name its CA with --tls-ca"
	case errors.As(err, &invalid):
		return fmt.Sprintf("its certificate is not valid (%s): renew it", wording.Shown(err.Error()))
	case errors.As(err, &operation) && operation.Op == "remote error" && strings.Contains(operation.Err.Error(), "certificate"):
		return fmt.Sprintf("refused us (%s)%s", wording.Shown(operation.Err.Error()), giveOne)
	case errors.Is(err, errEnded):
		return "ended the TLS connection without an answer: if it speaks no TLS leave --tls out, else" + strings.TrimPrefix(giveOne, ":")
	}
	return ""
}
