package config

import (
	"net/netip"
	"strconv"

	"github.com/spineldb/warden/warden"
)

const (
	defaultHTTPHost = "127.0.0.1"
	defaultHTTPPort = 8008
	// minToken is the least length of a token, in bytes.
	minToken = 16
)

// HTTP says where health checks and orders come in.
type HTTP struct {
	// Port is 0 where there is no HTTP.
	Port int
	Host string
	// Asked: the address was written down, so that it has to be free.
	Asked bool
	// Token is what those who change something show; empty: nobody may.
	Token Secret
	// TLS is used where its CertFile is set. ClientAuth is "yes" where clients
	// have to show a certificate of CAFile, else "no".
	TLS TLS
}

// loadHTTP reads the table [http].
func (l *loader) loadHTTP(top *section) HTTP {
	s := l.section("http", top.table("http", "[http]"))
	s.place = "http."
	h := s.listen()
	h.Token = s.token()
	h.TLS = s.httpTLS()
	s.finish(append(masterKeys(), topKeys()...), "out of [http]")
	if a, err := netip.ParseAddr(h.Host); h.Port != 0 && h.Host != "localhost" && (err != nil || !a.IsLoopback()) && h.TLS.CertFile == "" && h.Token != "" {
		l.warnings = append(l.warnings, "the token of [http] travels in the clear on "+h.Host+": set tls_cert_file and tls_key_file there, or listen on a private address")
	}
	return h
}

// listen reads where to listen: host:port, or "off".
func (s *section) listen() HTTP {
	h := HTTP{Host: defaultHTTPHost, Port: defaultHTTPPort, Asked: s.has("listen")}
	text := s.text("listen", wardenNode(defaultHTTPHost, defaultHTTPPort))
	if s.failed["listen"] {
		return h
	}
	if text == "off" {
		return HTTP{}
	}
	node, err := warden.ParseNode(text)
	if err != nil {
		s.wrong("listen", "%v; or \"off\"", err)
		return h
	}
	h.Host = s.checkHost("listen", node.Host(), defaultHTTPHost)
	h.Port, _ = strconv.Atoi(node.Port()) // ParseNode has checked it
	return h
}

func wardenNode(host string, port int) string { return string(warden.MakeNode(host, port)) }

func (s *section) token() Secret {
	token, key := s.secret("token"), "token"
	if s.has("token_file") {
		key = "token_file"
	}
	if (s.has("token") || s.has("token_file")) && !s.failed[key] && len(token) < minToken {
		s.wrong(key, "the token has %d characters, but must have at least %d: make one with head -c 32 /dev/urandom | base64", len(token), minToken)
	}
	return token
}

// httpTLS reads the certificate of the HTTP port.
func (s *section) httpTLS() TLS {
	t := TLS{
		CertFile: s.file("tls_cert_file"), KeyFile: s.file("tls_key_file"), CAFile: s.file("tls_client_ca_file"),
		KeyPassword: s.secret("tls_key_password"),
	}
	s.checkTLS(t) // t.Port is 0: it looks at the pair alone
	if s.has("tls_client_ca_file") && !s.has("tls_cert_file") {
		s.wrong("tls_client_ca_file", "is set without a certificate of our own: set tls_cert_file and tls_key_file")
	}
	if t.CertFile != "" {
		// Whoever opens the files takes this for a port that speaks TLS.
		t.Port, t.ClientAuth = 1, "no"
		if t.CAFile != "" {
			t.ClientAuth = "yes"
		}
	}
	return t
}
