package spineldb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// replyError is an error reply that was read outside go-redis.
type replyError string

func (e replyError) Error() string { return string(e) }
func (replyError) RedisError()     {}

// isReply reports whether err was sent by the server, as an error reply.
func isReply(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && !errors.Is(err, redis.Nil)
}

// healthOfReply sorts an error reply by what it proves of the server. The
// server is alive in every case; the question is what it wants.
func healthOfReply(text string) warden.Health {
	code, _, _ := strings.Cut(text, " ")
	switch code {
	case "LOADING", "MASTERDOWN":
		return warden.HealthLoading
	case "BUSY":
		return warden.HealthBusy
	case "NOAUTH", "WRONGPASS", "NOPERM", "DENIED":
		return warden.HealthDenied
	}
	lower := strings.ToLower(text)
	switch {
	case strings.Contains(lower, "max number of clients"):
		return warden.HealthBusy
	case strings.Contains(lower, "invalid password"), strings.Contains(lower, "invalid username-password"),
		strings.Contains(lower, "operation not permitted"), strings.Contains(lower, "without any password configured"):
		return warden.HealthDenied
	}
	return warden.HealthError
}

// healthOf sorts any error of a look.
func healthOf(err error) warden.Health {
	var reply redis.Error
	var network net.Error
	var cert *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return warden.HealthGood
	case isReply(err):
		errors.As(err, &reply)
		return healthOfReply(reply.Error())
	case errors.As(err, &cert), errors.As(err, &unknown):
		// The server is there; it is our configuration that does not fit.
		return warden.HealthDenied
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded):
		return warden.HealthSilent
	case hangUp(err):
		return warden.HealthRefused
	case errors.As(err, &network):
		// Unreachable networks and names that do not resolve say nothing about
		// the process: they are silence, not evidence of a crash.
		return warden.HealthSilent
	}
	return warden.HealthError
}

// hangUp reports whether err is the end of a connection made by the other side.
func hangUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLost) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}
