package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/sentinelconf"
)

// Goal: a call in the words of Redis Sentinel is understood by Redis's rules,
// and nothing else is taken for one.
func TestParseDropin(t *testing.T) {
	for in, want := range map[string]*dropin{
		"spineldb":                                     nil,
		"spineldb status":                              nil,
		"spineldb --warden f --check":                  nil,
		"spineldb --sentinel":                          {},
		"spineldb --sentinel f.conf":                   {file: "f.conf"},
		"spineldb --sentinel=f.conf --port 1":          {file: "f.conf", overrides: []string{"--port", "1"}},
		"spineldb --sentinel f.conf --check":           {file: "f.conf", check: true},
		"spineldb --check --sentinel f.conf":           {file: "f.conf", check: true},
		"spineldb f.conf --sentinel":                   {file: "f.conf", overrides: []string{"--sentinel"}},
		"spineldb --sentinel f.conf --status --json":   {file: "f.conf", overrides: []string{"--status", "--json"}},
		"/usr/bin/redis-sentinel f.conf":               {file: "f.conf"},
		"/usr/bin/redis-sentinel f.conf --sentinel":    {file: "f.conf", overrides: []string{"--sentinel"}},
		"redis-sentinel-7.2 f.conf":                    {file: "f.conf"},
		"./valkey-sentinel f.conf --port 1 --dir /tmp": {file: "f.conf", overrides: []string{"--port", "1", "--dir", "/tmp"}},
		"redis-sentinel --port 1":                      {overrides: []string{"--port", "1"}},
		"redis-sentinel":                               {},
		"redis-sentinel -v":                            {version: true},
		"redis-sentinel --version":                     {version: true},
		"redis-sentinel --help":                        {help: true},
	} {
		got, is := parseDropin(strings.Fields(in))
		if is != (want != nil) {
			t.Errorf("%q: taken for a call of Sentinel: %v", in, is)
			continue
		}
		if len(got.overrides) == 0 {
			got.overrides = nil
		}
		if want != nil && !reflect.DeepEqual(got, *want) {
			t.Errorf("%q: got %+v, want %+v", in, got, *want)
		}
	}
}

// Goal: a call that starts nothing says what it has to say in the right place
// and ends with the right code.
func TestDropinThatStartsNothing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("good.conf", "sentinel monitor m 10.0.0.1 6379 2\n")
	bad := write("bad.conf", "port 1\nsentinel auth-pass other topsecret\n")
	for _, c := range []struct {
		args      []string
		code      int
		out, errs string
	}{
		{[]string{"spineldb", "--sentinel", good, "--check"}, exit.Done, "is valid: 1 group, 0 warnings", ""},
		{[]string{"redis-sentinel", "-v"}, exit.Done, "Warden ", ""},
		{[]string{"redis-sentinel", "-h"}, exit.Done, "Usage: ", ""},
		{[]string{"redis-sentinel"}, exit.Refused, "", "give its path first"},
		{[]string{"redis-sentinel", filepath.Join(dir, "none.conf")}, exit.Refused, "", "no such file"},
		{[]string{"redis-sentinel", bad}, exit.Refused, "", "at line 2\n"},
		{[]string{"redis-sentinel", good, "--prot", "1"}, exit.Refused, "", "Bad directive"},
		{[]string{"redis-sentinel", good, "--check", "--port", "0"}, exit.Refused, "", "port and tls-port are both 0"},
		{[]string{"redis-sentinel", good, "--check", "--tls-port", "1"}, exit.Refused, "", "tls-port needs a certificate"},
		{[]string{"redis-sentinel", good, "--check", "--rename-command", "get", "x"}, exit.Refused, "", "No such command in rename-command"},
		{[]string{"redis-sentinel", good, "--check", "--rename-command", "ping", "x"}, exit.Done, "is valid", ""},
		{[]string{"redis-sentinel", good, "--check", "--user", "a", "+nonsense"}, exit.Refused, "", "Unknown command or category"},
		{[]string{"redis-sentinel", good, "--check", "--aclfile", "/none"}, exit.Refused, "", "/none"},
		{[]string{"redis-sentinel", good, "--check", "--tls-replication", "yes", "--tls-ca-cert-file", "/none.pem"}, exit.Refused, "", "/none.pem"},
	} {
		var out, errs bytes.Buffer
		p := &program{out: &out, errs: &errs, dropin: func(context.Context, *sentinelconf.File) error {
			t.Errorf("%v started something", c.args)
			return nil
		}}
		if code := p.run(t.Context(), c.args); code != c.code {
			t.Errorf("%v ended with %d, want %d", c.args, code, c.code)
		}
		if !strings.Contains(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%v said %q and on standard error %q", c.args, out.String(), errs.String())
		}
		if c.out == "" && out.Len() > 0 || c.errs == "" && errs.Len() > 0 {
			t.Errorf("%v spoke on the wrong side: %q and %q", c.args, out.String(), errs.String())
		}
		if strings.Contains(errs.String(), "topsecret") {
			t.Errorf("%v tells a password: %s", c.args, errs.String())
		}
	}
}

// Goal: the same password makes the same key, another one another, none none.
func TestPeerKeys(t *testing.T) {
	key := func(text string) string {
		f, err := sentinelconf.Parse("/f.conf", []byte(text), nil, sentinelconf.World{Dir: "/"})
		if err != nil {
			t.Fatal(err)
		}
		keys, err := peerKeys(f)
		if err != nil || len(keys) > 1 {
			t.Fatalf("%q makes %d keys, %v", text, len(keys), err)
		}
		if len(keys) == 0 {
			return ""
		}
		return string(keys[0])
	}
	a := key("requirepass a\n")
	if len(a) != 32 || a != key("port 1\nrequirepass a\n") || a != key("requirepass b\nsentinel sentinel-pass a\n") {
		t.Error("the key of a password is not the same everywhere")
	}
	if a == key("requirepass b\n") || key("port 1\n") != "" {
		t.Error("the key does not depend on the password")
	}
}
