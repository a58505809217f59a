package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/warden"
)

// sqlState is the SQLSTATE of an error that the server sent, "" for others.
// Texts are never judged: servers translate them.
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// fatal reports whether err is the server's farewell to this session.
func fatal(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	severity := e.SeverityUnlocalized
	return severity == "FATAL" || severity == "PANIC" || severity == "" && (e.Severity == "FATAL" || e.Severity == "PANIC")
}

// healthOfState sorts an error of the server by what it proves. The server is
// alive in every case; the question is what it wants.
func healthOfState(code string) warden.Health {
	switch code {
	case "57P03": // starting up, shutting down, recovery without hot standby
		return warden.HealthLoading
	case "53300", "53200", "53100": // no room for connections, memory, disk
		return warden.HealthBusy
	case "42501", "3D000", "0A000":
		return warden.HealthDenied
	}
	if strings.HasPrefix(code, "28") { // pg_hba.conf, user, password
		return warden.HealthDenied
	}
	return warden.HealthError
}

// healthOf sorts any error of a look.
func healthOf(err error) warden.Health {
	var network net.Error
	var cert *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var file *fs.PathError
	var config *pgconn.ParseConfigError
	switch {
	case err == nil:
		return warden.HealthGood
	case hangUp(err):
		// Before the SQLSTATE: a terminated session says so in an error of its own.
		return warden.HealthRefused
	case sqlState(err) != "":
		return healthOfState(sqlState(err))
	case errors.As(err, &cert), errors.As(err, &authority), errors.As(err, &host), errors.As(err, &file), errors.As(err, &config),
		strings.Contains(err.Error(), "server refused TLS"):
		// The server is there; it is our configuration that does not fit.
		return warden.HealthDenied
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		return warden.HealthSilent
	case errors.As(err, &network):
		// Unreachable networks and names that do not resolve say nothing about
		// the process: they are silence, not evidence of a crash.
		return warden.HealthSilent
	}
	return warden.HealthError
}

// hangUp reports whether err is the end of a connection made by the other side.
func hangUp(err error) bool {
	switch sqlState(err) {
	case "57P01", "57P02", "57P05": // terminated, crash of a sibling, idle for too long
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}
