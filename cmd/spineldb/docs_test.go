package main

import (
	"io"
	"os"
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
	if found < 2 {
		t.Errorf("%d configurations were found, want those of README.md and operations.md", found)
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
