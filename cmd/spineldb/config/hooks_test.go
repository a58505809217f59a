package config

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// hookFiles knows one program, one file that is none, and one secret.
func hookFiles(path string) ([]byte, fs.FileMode, error) {
	switch path {
	case "/p":
		return []byte("x"), 0o755, nil
	case "/text":
		return []byte("x"), 0o644, nil
	case "/short":
		return []byte("tiny"), 0o600, nil
	}
	return noFiles(path)
}

// Goal: every mistake about hooks is found at the start, with its line and a
// remedy.
func TestHookMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"hooks = 5\n":                      `w.toml:1: hooks: is a whole number, but a table is wanted: write [hooks]`,
		"[hooks]\non_failover = '/none'\n": `w.toml:2: hooks.on_failover: read /none: file does not exist`,
		"[hooks]\non_start = '/text'\n":    `w.toml:2: hooks.on_start: /text is not executable: chmod +x it`,
		"[hooks]\npre_promote = '/text'\n": `w.toml:2: hooks.pre_promote: /text is not executable`,
		"[hooks]\non_falover = '/p'\n":     `w.toml:2: hooks.on_falover: unknown key: did you mean "on_failover"?`,
		"[hooks]\nretries = 11\n":          `w.toml:2: hooks.retries: is 11, but must be from 0 to 10`,
		"[hooks]\ntimeout = 5\n":           `w.toml:2: hooks.timeout: is the number 5 without a unit`,
		"[hooks]\nquorum = 2\n":            `w.toml:2: hooks.quorum: does not belong here: move it out of [hooks]`,
		"[hooks]\non_stop = ' '\n":         `w.toml:2: hooks.on_stop: is empty: name a program`,
	} {
		_, err := Parse("w.toml", []byte(text+minimal), hookFiles)
		if got := fmt.Sprint(err); !strings.Contains(got, want) {
			t.Errorf("%q: got\n%s\nwant %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		"[masters.hooks]\non_start = '/p'\n": `w.toml:7: group "m": hooks.on_start: is about this Warden and not about a group: move it to [hooks]`,
		"[masters.hooks]\non_x = '/p'\n":     `w.toml:7: group "m": hooks.on_x: unknown key`,
		"hooks = 'x'\n":                      `w.toml:6: group "m": hooks: is text, but a table is wanted: write [masters.hooks]`,
		"failover_timeout = '30s'\n[masters.hooks]\npre_promote = '/p'\npre_promote_timeout = '16s'\n": `group "m": hooks: pre_promote_timeout is 16s, but must be at most half of failover_timeout (30s)`,
	} {
		_, err := Parse("w.toml", []byte(minimal+text), hookFiles)
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Count(got, "\n") > 0 {
			t.Errorf("%q: got\n%s\nwant %s", text, got, want)
		}
	}
}

// Goal: the same of webhooks, and neither the address nor the secret is shown.
func TestWebhookMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     `w.toml:1: webhooks.url: is missing`,
		"url = 5\n":                            `w.toml:2: webhooks.url: is a whole number, but text is wanted`,
		"url = 'hooks.example/s3cret'\n":       `w.toml:2: webhooks.url: is not an address of the form`,
		"url = 'ftp://hooks.example/s3cret'\n": `w.toml:2: webhooks.url: begins with "ftp"`,
		"url = 'https://me:s3cret@hooks.example'\n":                                                `w.toml:2: webhooks.url: contains a user`,
		"url = 'https://a/#s3cret'\n":                                                              `w.toml:2: webhooks.url: contains a #`,
		"url = 'https://a:b:c/s3cret'\n":                                                           `w.toml:2: webhooks.url: is not an address`,
		"url = 'https://a/'\nsecret = 's3cret'\n":                                                  `w.toml:3: webhooks.secret: has 6 characters, but must have at least 16`,
		"url = 'https://a/'\nsecret_file = '/short'\n":                                             `w.toml:3: webhooks.secret_file: has 4 characters`,
		"url = 'https://a/'\nevents = []\n":                                                        `w.toml:3: webhooks.events: is empty`,
		"url = 'https://a/'\nevents = ['+x', '']\n":                                                `w.toml:3: webhooks.events: entry 2 is empty`,
		"url = 'https://a/'\nevents = '+x'\n":                                                      `w.toml:3: webhooks.events: is text, but a list is wanted`,
		"url = 'https://a/'\ntimeout = '2m'\n":                                                     `w.toml:3: webhooks.timeout: is 2m, but must be at most 1m`,
		"url = 'https://a/'\nretires = 1\n":                                                        `w.toml:3: webhooks.retires: unknown key: did you mean "retries"?`,
		"url = 'http://localhost/'\ntls_ca_file = '/p'\n":                                          `w.toml:3: webhooks.tls_ca_file: is set for an address that is not https`,
		"url = 'https://a/'\nsecret = '" + strings.Repeat("s3cret", 4) + "'\nsecret_file = '/p'\n": `w.toml:4: webhooks.secret_file: is set beside secret`,
	} {
		_, err := Parse("w.toml", []byte("[[webhooks]]\n"+text+minimal), hookFiles)
		if got := fmt.Sprint(err); !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%q: got\n%s\nwant %s", text, got, want)
		}
	}
	c, err := Parse("w.toml", []byte("host = '::1'\n[[webhooks]]\nurl = 'http://10.0.0.1/s3cret'\n"+minimal), hookFiles)
	if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "in the clear to the webhook 10.0.0.1") || strings.Contains(fmt.Sprintf("%+v %q", c, c.Warnings), "s3cret") {
		t.Errorf("warnings %q, %v", c.Warnings, err)
	}
}
