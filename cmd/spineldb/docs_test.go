package main

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// documentation is the text of each page, by its name.
func documentation(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) < 8 {
		t.Fatalf("find pages: %d, %v", len(names), err)
	}
	found := map[string]string{}
	for _, name := range append(names, "../../README.md", "../../CHANGELOG.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found[filepath.Base(name)] = string(text)
	}
	return found
}

// commandLine is a command of the program with what follows it, in a line of
// code or between back quotes.
var commandLine = regexp.MustCompile("(?:(?m:^\\s*(?:\\$ )?(?:\\./)?)|`|run \\./cmd/)spineldb ([a-z-][^`\\n|;#]*)")

// Goal: every command line that the documentation prints is understood.
func TestDocumentedCommandsExist(t *testing.T) {
	app := (&program{out: io.Discard, errs: io.Discard}).app()
	seen, demo := []string{}, demoSource(t)
	for page, text := range documentation(t) {
		for _, m := range commandLine.FindAllStringSubmatch(text, -1) {
			words := strings.Fields(m[1])
			flags := app.Flags
			if !strings.HasPrefix(words[0], "-") {
				c := app.Command(words[0])
				if c == nil {
					t.Errorf("%s: there is no command in %q", page, m[0])
					continue
				}
				seen, flags = append(seen, words[0]), c.Flags
			}
			for _, word := range words {
				flag, isFlag := strings.CutPrefix(word, "--")
				if isFlag && words[0] == "demo" {
					if !strings.Contains(demo, "\""+flag+"\"") {
						t.Errorf("%s: the demo has no flag %s", page, word)
					}
				} else if isFlag && !slices.ContainsFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), flag) }) {
					t.Errorf("%s: there is no flag %s in %q", page, word, m[0])
				}
			}
		}
	}
	for _, c := range app.Commands {
		if !slices.Contains(seen, c.Name) {
			t.Errorf("command %s is nowhere in the documentation", c.Name)
		}
	}
}

// Goal: every configuration that the documentation prints is a good one.
func TestDocumentedConfigurations(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```")
	found := 0
	for page, text := range documentation(t) {
		for _, m := range blocks.FindAllStringSubmatch(text, -1) {
			found++
			file := filepath.Join(t.TempDir(), "warden.toml")
			if strings.Contains(m[1], "warden.crt") {
				makeDocumentedCertificates(t, filepath.Dir(file))
			}
			if err := os.WriteFile(file, []byte(m[1]), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, errs strings.Builder
			p := &program{out: &out, errs: &errs}
			if code := p.run(t.Context(), []string{"spineldb", "--warden", file, "--check"}); code != 0 || errs.Len() > 0 {
				t.Errorf("%s: exit code %d: %s%s", page, code, out.String(), errs.String())
			}
		}
	}
	if found < 3 {
		t.Errorf("%d configurations were found, want those of README.md, deployment.md and security.md", found)
	}
}

// makeDocumentedCertificates runs the commands of docs/security.md in a
// directory.
func makeDocumentedCertificates(t *testing.T, dir string) {
	t.Helper()
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(documentation(t)["security.md"])
	if script == nil {
		t.Fatal("docs/security.md makes no certificates")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script[1])
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make certificates (apt-get install -y openssl): %v\n%s", err, out)
	}
}

// Goal: the certificates that the documentation makes serve a Warden on both
// sides, under each of its names.
func TestDocumentedCertificates(t *testing.T) {
	dir := t.TempDir()
	makeDocumentedCertificates(t, dir)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "warden.crt"), filepath.Join(dir, "warden.key"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	for _, name := range []string{"warden1.example", "10.0.0.11"} {
		for _, use := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: name, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
				t.Errorf("%s, use %d: %v", name, use, err)
			}
		}
	}
}

// Goal: systemd understands every line of the unit, and the Warden it starts is
// given the file that it names and may write nowhere else.
func TestDocumentedUnit(t *testing.T) {
	text, err := os.ReadFile("../../docs/examples/warden.service")
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = line
		case section == "" || !regexp.MustCompile(`^[A-Z][A-Za-z]+=`).MatchString(line):
			t.Errorf("no line of a unit: %q", line)
		}
	}
	for _, want := range []string{"ExecStart=/usr/local/bin/spineldb --warden /etc/warden/warden.toml\n", "ProtectSystem=strict\n", "StateDirectory=warden\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing", want)
		}
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not here, so only the form was looked at")
		return
	}
	file := filepath.Join(t.TempDir(), "warden.service")
	installed := strings.ReplaceAll(string(text), "/usr/local/bin/spineldb", os.Args[0]) // it has to be a program that is there
	if err := os.WriteFile(file, []byte(installed), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), analyze, "verify", file)
	cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning", "SYSTEMD_LOG_TARGET=console")
	out, err := cmd.CombinedOutput()
	var complaints []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "warden.service") { // not of the units of this machine
			complaints = append(complaints, line)
		}
	}
	if len(complaints) > 0 || err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// demoSource is the text of the demo, whose flags are parsed by itself.
func demoSource(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"demo*.go", "demo/*.go"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	return all.String()
}
