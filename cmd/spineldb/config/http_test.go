package config

import (
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"
)

// Goal: without a table there is HTTP on this machine, and it can be switched
// off.
func TestHTTPIsOnThisMachineUnlessSaid(t *testing.T) {
	for text, want := range map[string]HTTP{
		minimal:                                {Host: "127.0.0.1", Port: 8008},
		"[http]\n" + minimal:                   {Host: "127.0.0.1", Port: 8008},
		"[http]\nlisten = \"off\"\n" + minimal: {},
		"[http]\nlisten = \"127.0.0.1:8008\"\n" + minimal: {Host: "127.0.0.1", Port: 8008, Asked: true},
		"http.listen = \"Db1.example:80\"\n" + minimal:    {Host: "db1.example", Port: 80, Asked: true},
	} {
		c, err := Parse("w.toml", []byte(text), noFiles)
		if err != nil || !reflect.DeepEqual(c.HTTP, want) {
			t.Errorf("%q: %+v, %v, want %+v", text, c.HTTP, err, want)
		}
	}
}

// Goal: every mistake in the table is found, with its line and a remedy, and no
// secret is shown.
func TestHTTPMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"http = 5\n":                                                 `w.toml:1: http: is a whole number, but a table is wanted`,
		"[http]\nlisten = 8008\n":                                    `w.toml:2: http.listen: is a whole number, but text is wanted`,
		"[http]\nlisten = \"8008\"\n":                                `w.toml:2: http.listen: address "8008" has no port`,
		"[http]\nlisten = \"1.2.3.4.5:80\"\n":                        `w.toml:2: http.listen: "1.2.3.4.5" is neither an IP address nor a host name`,
		"[http]\nlisen = \"off\"\n":                                  `w.toml:2: http.lisen: unknown key: did you mean "listen"?`,
		"[http]\nquorum = 2\n":                                       `w.toml:2: http.quorum: does not belong here: move it out of [http]`,
		"[http]\ntoken = \"tiny-secret\"\n":                          `w.toml:2: http.token: the token has 11 characters, but must have at least 16`,
		"[http]\ntoken = \"\"\n":                                     `w.toml:2: http.token: the token has 0 characters`,
		"[http]\ntoken_file = \"no\"\n":                              `w.toml:2: http.token_file: read password file`,
		"[http]\ntoken = \"0123456789abcdef\"\ntoken_file = \"f\"\n": `http.token_file: is set beside token`,
		"[http]\ntls_cert_file = \"f\"\n":                            `http.tls_cert_file: is set without its key`,
		"[http]\ntls_client_ca_file = \"f\"\n":                       `http.tls_client_ca_file: is set without a certificate of our own`,
	} {
		_, err := Parse("w.toml", []byte(text+minimal), func(path string) ([]byte, fs.FileMode, error) {
			if strings.HasSuffix(path, "/f") || path == "f" {
				return []byte("x"), 0o600, nil
			}
			return noFiles(path)
		})
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Contains(got, "tiny-secret") {
			t.Errorf("%q: got\n%s\nwant %s", text, got, want)
		}
	}
}

// Goal: a token that travels in the clear is warned of.
func TestTokenInTheClear(t *testing.T) {
	for listen, warned := range map[string]bool{"127.0.0.1:80": false, "[::1]:80": false, "localhost:80": false, "10.0.0.1:80": true, "a.example:80": true} {
		text := "host = \"127.0.0.1\"\n[http]\nlisten = \"" + listen + "\"\ntoken = \"0123456789abcdef\"\n" + minimal
		c, err := Parse("w.toml", []byte(text), noFiles)
		if err != nil || (len(c.Warnings) > 0) != warned || !c.hasInlineSecrets(text) {
			t.Errorf("%s: warnings %q, %v", listen, c.Warnings, err)
		}
	}
}
