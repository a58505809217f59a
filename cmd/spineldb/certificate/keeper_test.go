package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/youmark/pkcs8"

	"github.com/spineldb/warden/cmd/spineldb/config"
)

// reports gathers what Open's callback is told.
type reports struct {
	mu   sync.Mutex
	errs []error
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *reports) all() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

func opened(t *testing.T, c config.TLS, report func(error)) *Keeper {
	t.Helper()
	k, err := Open(c, report)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// due makes the next handshake look at the files, as if a second had passed.
func (k *Keeper) due() { k.checked.Store(-int64(checkEvery)) }

// Goal: whose certificate is asked for, and whose is taken, by tls-auth-clients.
func TestClientAuth(t *testing.T) {
	f := newForge(t)
	ours, theirs := f.ca("ours"), f.ca("theirs")
	cert, key := ours.sign("warden", loopback)
	none := tls.Config{RootCAs: ours.pool()}
	good := tls.Config{RootCAs: ours.pool(), Certificates: []tls.Certificate{ours.pair("client", nil)}}
	bad := tls.Config{RootCAs: ours.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair := theirs.pair("stranger", nil)
		return &pair, nil
	}}
	server := tls.Config{RootCAs: ours.pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair := ours.pair("server", nil, x509.ExtKeyUsageServerAuth)
		return &pair, nil
	}}
	for auth, want := range map[string][4]bool{
		"yes": {false, true, false, false}, "": {false, true, false, false},
		"optional": {true, true, false, false}, "no": {true, true, true, true},
	} {
		k := opened(t, config.TLS{Port: 1, CertFile: cert, KeyFile: key, CAFile: ours.file, ClientAuth: auth}, nil)
		for i, client := range []*tls.Config{&none, &good, &bad, &server} {
			serverErr, clientErr, _ := shake(t, k.Server(), client)
			if ok := serverErr == nil && clientErr == nil; ok != want[i] {
				t.Errorf("tls-auth-clients %q, client %d: server says %v, client %v", auth, i, serverErr, clientErr)
			}
		}
	}
}

// Goal: a node is believed for its CA and its use, not for its name; our own
// certificate is shown, or the one that is meant for nodes.
func TestNodes(t *testing.T) {
	f := newForge(t)
	ours, theirs := f.ca("ours"), f.ca("theirs")
	cert, key := ours.sign("warden", nil)
	nodeCert, nodeKey := ours.sign("fornodes", nil, x509.ExtKeyUsageClientAuth)
	c := config.TLS{CertFile: cert, KeyFile: key, CAFile: ours.file, Nodes: true}
	own := opened(t, c, nil)
	c.ClientCertFile, c.ClientKeyFile = nodeCert, nodeKey
	special := opened(t, c, nil)
	for name, tt := range map[string]struct {
		node tls.Certificate
		want bool
	}{
		"nameless":         {ours.pair("node", nil), true},
		"for servers":      {ours.pair("node2", nil, x509.ExtKeyUsageServerAuth), true},
		"for clients only": {ours.pair("node3", nil, x509.ExtKeyUsageClientAuth), false},
		"another CA":       {theirs.pair("node4", loopback), false},
	} {
		for who, k := range map[string]*Keeper{"warden": own, "fornodes": special} {
			seen := ""
			node := &tls.Config{Certificates: []tls.Certificate{tt.node}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool(),
				VerifyConnection: func(s tls.ConnectionState) error { seen = s.PeerCertificates[0].Subject.CommonName; return nil }}
			serverErr, clientErr, _ := shake(t, node, k.Client())
			if ok := serverErr == nil && clientErr == nil; ok != tt.want || ok && seen != who {
				t.Errorf("%s, %s: node says %v, Warden %v, saw %q", name, who, serverErr, clientErr, seen)
			}
		}
	}
	nameless := opened(t, config.TLS{CAFile: ours.file, Nodes: true}, nil)
	node := &tls.Config{Certificates: []tls.Certificate{ours.pair("node", nil)}, ClientAuth: tls.RequestClientCert}
	if serverErr, clientErr, _ := shake(t, node, nameless.Client()); serverErr != nil || clientErr != nil {
		t.Errorf("without a certificate of our own: node says %v, Warden %v", serverErr, clientErr)
	}
	if err := verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{ours.leaf}}, nil); err == nil {
		t.Error("without a CA a certificate was believed")
	}
}

// Goal: files that change are taken by the next handshake, of both sides, and a
// handshake within a second of the last look uses what is there.
func TestRenewal(t *testing.T) {
	f := newForge(t)
	old := f.ca("ca")
	cert, key := old.sign("warden", loopback)
	var told reports
	k := opened(t, config.TLS{Port: 1, CertFile: cert, KeyFile: key, CAFile: old.file, ClientAuth: "yes", Nodes: true}, told.add)
	server, client := k.Server(), k.Client()
	check := func(what string, by *signer, want bool) {
		t.Helper()
		peer := &tls.Config{RootCAs: by.pool(), Certificates: []tls.Certificate{by.pair("peer", nil)}, ClientCAs: by.pool(), ClientAuth: tls.RequireAndVerifyClientCert}
		s, c, _ := shake(t, server, peer)
		if ok := s == nil && c == nil; ok != want {
			t.Errorf("%s: as a server: server says %v, client %v", what, s, c)
		}
		s, c, _ = shake(t, peer, client)
		if ok := s == nil && c == nil; ok != want {
			t.Errorf("%s: as a client: server says %v, client %v", what, s, c)
		}
	}
	check("at first", old, true)
	renewed := f.ca("ca")
	renewed.sign("warden", loopback)
	k.checked.Store(int64(1<<62 - 1)) // looked at a moment ago
	check("within the second", old, true)
	k.due()
	check("after a second", renewed, true)
	check("after a second", old, false)
	if got := told.all(); len(got) != 1 || got[0] != nil {
		t.Errorf("told %v, want one nil", got)
	}
	again := f.ca("ca")
	again.sign("warden", loopback)
	k.checked.Store(int64(1<<62 - 1))
	if err := k.Reload(); err != nil {
		t.Error(err)
	}
	check("reloaded", again, true)
}

// Goal: a broken file leaves the old certificates in use, is reported once, and
// its repair is taken.
func TestBrokenRenewal(t *testing.T) {
	f := newForge(t)
	ca := f.ca("ca")
	cert, key := ca.sign("warden", loopback)
	var told reports
	k := opened(t, config.TLS{Port: 1, CertFile: cert, KeyFile: key, ClientAuth: "no"}, told.add)
	client := &tls.Config{RootCAs: ca.pool()}
	_, _, before := shake(t, k.Server(), client)
	f.write("warden.crt", []byte("half of a file"))
	for range 3 {
		k.due()
		if s, c, leaf := shake(t, k.Server(), client); s != nil || c != nil || !leaf.Equal(before) {
			t.Fatalf("with a broken file: server says %v, client %v", s, c)
		}
	}
	if got := told.all(); len(got) != 1 || got[0] == nil || !strings.Contains(got[0].Error(), cert) {
		t.Errorf("told %v, want one error that names %s", got, cert)
	}
	if err := k.Reload(); err == nil {
		t.Error("a broken file was reloaded")
	}
	ca.sign("warden", loopback)
	k.due()
	if s, c, leaf := shake(t, k.Server(), client); s != nil || c != nil || leaf.Equal(before) {
		t.Errorf("after the repair: server says %v, client %v", s, c)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	k.due()
	if s, c, _ := shake(t, k.Server(), client); s != nil || c != nil {
		t.Errorf("without the key file: server says %v, client %v", s, c)
	}
	if got := told.all(); len(got) != 3 || got[1] != nil || got[2] == nil || !strings.Contains(got[2].Error(), key) {
		t.Errorf("told %v, want an error, nil, an error", got)
	}
}

// Goal: many handshakes at once during a change are all served.
func TestHandshakesDuringChange(t *testing.T) {
	f := newForge(t)
	ca := f.ca("ca")
	cert, key := ca.sign("warden", loopback)
	k := opened(t, config.TLS{Port: 1, CertFile: cert, KeyFile: key, ClientAuth: "no"}, nil)
	ca.sign("warden", loopback)
	k.due()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if s, c, _ := shake(t, k.Server(), &tls.Config{RootCAs: ca.pool()}); s != nil || c != nil {
				t.Errorf("server says %v, client %v", s, c)
			}
		})
	}
	all.Wait()
}

// Goal: what cannot be served is refused with the file's name and a remedy.
func TestMistakes(t *testing.T) {
	f := newForge(t)
	ca := f.ca("ca")
	cert, key := ca.sign("warden", loopback)
	_, otherKey := ca.sign("other", loopback)
	locked := f.write("locked.key", block("ENCRYPTED PRIVATE KEY", []byte("x")))
	lockedOld := f.write("lockedold.key", []byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"))
	junk := f.write("junk.pem", []byte("junk"))
	gone := filepath.Join(f.dir, "gone")
	empty := t.TempDir()
	for want, c := range map[string]config.TLS{
		"no certificate: set tls-cert-file":             {Port: 1, ClientAuth: "no"},
		"set tls-key-file too":                          {CertFile: cert},
		"set tls-cert-file too":                         {KeyFile: key},
		"belong together":                               {CertFile: cert, KeyFile: otherKey},
		gone + ":":                                      {CertFile: gone, KeyFile: key},
		"read key " + gone:                              {CertFile: cert, KeyFile: gone},
		locked + ": it cannot be decrypted":             {CertFile: cert, KeyFile: locked, KeyPassword: "s3cret"},
		lockedOld + ": it cannot be decrypted":          {CertFile: cert, KeyFile: lockedOld, KeyPassword: "s3cret"},
		"read CA certificates " + gone:                  {CAFile: gone},
		junk + ": it contains none":                     {CAFile: junk},
		empty + ": it contains none":                    {CADir: empty},
		"set tls-ca-cert-file, or tls-auth-clients no":  {Port: 1, CertFile: cert, KeyFile: key},
		"reach nodes by TLS":                            {Nodes: true},
		`"maybe" is none of`:                            {ClientAuth: "maybe"},
		`"sslv3" is unknown`:                            {Protocols: "TLSv1.2 SSLv3"},
		`names only versions that are not safe`:         {Protocols: "TLSv1 TLSv1.1"},
		"load certificate " + junk + " with key " + key: {CertFile: junk, KeyFile: key},
	} {
		_, err := Open(c, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// Goal: a directory of CAs does, beside a file and alone.
func TestDirectoryOfCAs(t *testing.T) {
	f := newForge(t)
	ca := f.ca("ca")
	cert, key := ca.sign("warden", loopback)
	k := opened(t, config.TLS{Port: 1, CertFile: cert, KeyFile: key, CADir: f.dir}, nil)
	if s, c, _ := shake(t, k.Server(), &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.pair("client", nil)}}); s != nil || c != nil {
		t.Errorf("server says %v, client %v", s, c)
	}
}

// Goal: versions that were not named are not spoken.
func TestProtocols(t *testing.T) {
	f := newForge(t)
	ca := f.ca("ca")
	cert, key := ca.sign("warden", loopback)
	for list, want := range map[string][2]bool{"": {true, true}, "TLSv1.3": {false, true}, "tlsv1.1 TLSv1.2": {true, false}, "TLSv1.2 TLSv1.3": {true, true}} {
		k := opened(t, config.TLS{Port: 1, CertFile: cert, KeyFile: key, CAFile: ca.file, ClientAuth: "no", Nodes: true, Protocols: list}, nil)
		for i, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			peer := &tls.Config{RootCAs: ca.pool(), Certificates: []tls.Certificate{ca.pair("peer", nil)}, MinVersion: v, MaxVersion: v}
			s, c, _ := shake(t, k.Server(), peer)
			if (s == nil && c == nil) != want[i] {
				t.Errorf("%q as a server, %s: server says %v, client %v", list, tls.VersionName(v), s, c)
			}
			if s, c, _ = shake(t, peer, k.Client()); (s == nil && c == nil) != want[i] {
				t.Errorf("%q as a client, %s: server says %v, client %v", list, tls.VersionName(v), s, c)
			}
		}
	}
}

// Goal: keys that openssl has encrypted are read with their password, in each
// of its forms, and without it, or with another, the reason is said.
func TestEncryptedKeys(t *testing.T) {
	f := newForge(t)
	ca := f.ca("ca")
	_, caKey := ca.sign("unused", nil)
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "openssl", args...)
		cmd.Dir = f.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("run openssl %q: %v\n%s", args, err, out)
		}
	}
	const password = "s3cret word"
	for name, how := range map[string][]string{
		"rsa-old":   {"rsa", "-traditional", "-aes128"},
		"rsa-new":   {"pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA256"},
		"rsa-3des":  {"pkcs8", "-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1"},
		"rsa-scryp": {"pkcs8", "-topk8", "-scrypt"},
		"ec-old":    {"ec", "-aes256"},
		"ec-new":    {"pkcs8", "-topk8"},
		"ed-new":    {"pkcs8", "-topk8"},
	} {
		kind := map[string][]string{
			"rsa": {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}, "ec": {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
			"ed": {"-algorithm", "ED25519"},
		}[name[:strings.Index(name, "-")]]
		run(append([]string{"genpkey", "-out", "clear.pem"}, kind...)...)
		run("req", "-x509", "-key", "clear.pem", "-subj", "/CN=x", "-days", "1", "-out", "own.pem")
		run(append(how, "-in", "clear.pem", "-out", name, "-passout", "pass:"+password)...)
		c := config.TLS{CertFile: filepath.Join(f.dir, "own.pem"), KeyFile: filepath.Join(f.dir, name), KeyPassword: password}
		if text, err := os.ReadFile(c.KeyFile); err != nil || !strings.Contains(string(text), "ENCRYPTED") {
			t.Fatalf("%s: openssl wrote %q, %v", name, text, err)
		}
		k := opened(t, c, nil)
		if s, c, _ := shake(t, &tls.Config{Certificates: []tls.Certificate{*k.current().own}}, &tls.Config{InsecureSkipVerify: true}); s != nil || c != nil {
			t.Errorf("%s: server says %v, client %v", name, s, c)
		}
		for wrong, want := range map[config.Secret]string{"": "set tls-key-file-pass", "other": "check tls-key-file-pass"} {
			c.KeyPassword = wrong
			if _, err := Open(c, nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), c.KeyFile) || strings.Contains(err.Error(), "other") {
				t.Errorf("%s with password %q: %v", name, string(wrong), err)
			}
		}
	}
	text, err := os.ReadFile(caKey)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decrypt(text, "needless"); err != nil || string(got) != string(text) {
		t.Errorf("a key in the clear became %q, %v", got, err)
	}
}

// Goal: a key file that was damaged is an error, wherever the damage is.
func TestDamagedKey(t *testing.T) {
	f := newForge(t)
	der, err := pkcs8.MarshalPrivateKey(f.key(), []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var outer struct {
		How  asn1.RawValue
		Data []byte
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		t.Fatal(err)
	}
	outer.Data = outer.Data[1:] // no whole block any more
	short, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{short, der[:len(der)/2], nil, []byte("x")} {
		if got, err := decrypt(block("ENCRYPTED PRIVATE KEY", damaged), "x"); err == nil {
			t.Errorf("%x became %q", damaged, got)
		}
	}
	if _, err := decrypt(block("ENCRYPTED PRIVATE KEY", der), "x"); err != nil {
		t.Errorf("the undamaged file: %v", err)
	}
}

// Goal: the command line wants the name of the host too, unless it was told
// otherwise, which takes a CA of our own.
func TestAsking(t *testing.T) {
	f := newForge(t)
	ours, theirs := f.ca("ours"), f.ca("theirs")
	cert, key := ours.sign("operator", nil)
	for name, tt := range map[string]struct {
		by    *signer
		named bool
		any   bool
		want  bool
	}{
		"named":             {ours, true, false, true},
		"nameless":          {ours, false, false, false},
		"nameless, any":     {ours, false, true, true},
		"another CA":        {theirs, true, false, false},
		"another CA, any":   {theirs, true, true, false},
		"both, and any too": {ours, true, true, true},
	} {
		hosts := loopback
		if !tt.named {
			hosts = nil
		}
		c, err := Asking{CAFile: ours.file, CertFile: cert, KeyFile: key, AnyName: tt.any}.Config()
		if err != nil {
			t.Fatal(err)
		}
		server := &tls.Config{Certificates: []tls.Certificate{tt.by.pair("warden", hosts)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool()}
		serverErr, clientErr, _ := shake(t, server, c)
		if ok := serverErr == nil && clientErr == nil; ok != tt.want {
			t.Errorf("%s: server says %v, client %v", name, serverErr, clientErr)
		}
		if IsWrongName(clientErr) != (name == "nameless") {
			t.Errorf("%s: wrong name is %v: %v", name, IsWrongName(clientErr), clientErr)
		}
	}
	for want, a := range map[string]Asking{
		"--tls-ca":                   {AnyName: true},
		"both --tls-cert and":        {CertFile: cert},
		"read CA certificates /gone": {CAFile: "/gone"},
	} {
		if _, err := a.Config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	if IsWrongName(errors.New("x")) {
		t.Error("any error is a wrong name")
	}
}
