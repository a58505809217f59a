package warden_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// read returns the text of a file of the repository.
func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pages are all pages of documentation.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{"README.md", "CHANGELOG.md"}
	err := fs.WalkDir(os.DirFS("docs"), ".", func(name string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(name, ".md") {
			found = append(found, path.Join("docs", name))
		}
		return err
	})
	if err != nil || len(found) < 10 {
		t.Fatalf("found %d pages: %v", len(found), err)
	}
	return found
}

// all are the first groups of all matches, sorted, each once.
func all(pattern, text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Goal: links within the repository lead somewhere.
func TestDocumentationLinks(t *testing.T) {
	links := 0
	for _, page := range pages(t) {
		for _, link := range all(`\]\(([^)\s]+)\)`, readText(t, page)) {
			target, anchor, _ := strings.Cut(link, "#")
			if strings.Contains(target, "://") {
				continue
			}
			links++
			file := path.Join(path.Dir(page), target)
			if target == "" {
				file = page
			}
			info, err := os.Stat(file)
			if err != nil {
				t.Errorf("%s: link %q: %v", page, link, err)
				continue
			}
			if anchor == "" || info.IsDir() {
				continue
			}
			if !slices.Contains(all(`(?m)^#+ (.+)$`, strings.ToLower(readText(t, file))), strings.ReplaceAll(anchor, "-", " ")) {
				t.Errorf("%s: link %q: no such heading", page, link)
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

// announced are the names of all events in the code that announces them.
func announced(t *testing.T) []string {
	t.Helper()
	var text strings.Builder
	for _, dir := range []string{"monitor", "election", "warden/failover", "warden/group", "cmd/spineldb"} {
		err := fs.WalkDir(os.DirFS("."), dir, func(name string, d fs.DirEntry, err error) error {
			// The story of the demo words events; it announces none.
			if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && !strings.Contains(name, "/demo") {
				text.WriteString(readText(t, name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all(`(?:\b(?:note|announce|raw)\(|\bName: *|\bname :?= )"([+-][a-z][a-z-]+)"`, text.String())
}

// Goal: the list of events is complete, and has none that nobody announces.
func TestEventsAreDocumented(t *testing.T) {
	page := readText(t, "docs/operations.md")
	_, page, _ = strings.Cut(page, "\n## Events\n")
	page, _, _ = strings.Cut(page, "\n## ")
	var documented []string
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		names := all("`([+-][a-z-]+)`", cells[1])
		documented = append(documented, names...)
		if len(names) > 0 && (len(cells) != 5 || len(strings.TrimSpace(cells[3])) < 5) {
			t.Errorf("%q in docs/operations.md does not say what to do, which may be nothing", names)
		}
	}
	code := announced(t)
	if len(code) < 50 {
		t.Fatalf("only %d events were found in the code: %q", len(code), code)
	}
	// A name that ends in '-' is completed by a reason: any will do.
	same := func(code, documented string) bool {
		return code == documented || strings.HasSuffix(code, "-") && strings.HasPrefix(documented, code)
	}
	for _, c := range code {
		if !slices.ContainsFunc(documented, func(d string) bool { return same(c, d) }) {
			t.Errorf("event %s is announced, and docs/operations.md does not list it", c)
		}
	}
	for _, d := range documented {
		if !slices.ContainsFunc(code, func(c string) bool { return same(c, d) }) {
			t.Errorf("event %s is in docs/operations.md, and nobody announces it", d)
		}
	}
}

// Goal: files and packages that the pages name are there.
func TestDocumentedPathsExist(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		for _, name := range all("`((?:adapters|cmd|discovery|docs|election|monitor|scripts|warden)(?:/[A-Za-z0-9_.-]+)+)`", readText(t, page)) {
			found++
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s names %s: %v", page, name, err)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d paths were found", found)
	}
}

// Goal: every stage of a leader is in the picture of the stages.
func TestStagesAreDocumented(t *testing.T) {
	page := readText(t, "docs/state-machine.md")
	stages := all(`Stage = "([a-z-]+)"`, readText(t, "warden/failover/state.go"))
	for _, stage := range stages {
		if !regexp.MustCompile(`(?m)^\| ([a-z-]+, )*` + stage + `[, |]`).MatchString(page) {
			t.Errorf("docs/state-machine.md has no row for the stage %s", stage)
		}
	}
	if len(stages) < 14 {
		t.Errorf("only %d stages were found", len(stages))
	}
}

// Goal: every key of the example is in the short list, and no other.
func TestConfigurationKeysAreDocumented(t *testing.T) {
	example := all(`(?m)^#? ?([a-z][a-z_]+) = `, readText(t, "warden.toml.example"))
	page, _, _ := strings.Cut(readText(t, "docs/configuration.md"), "\n## Environment\n")
	var documented []string
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); len(cells) > 3 {
			documented = append(documented, all("`([a-z][a-z_]+)`", cells[1])...)
		}
	}
	slices.Sort(documented)
	documented = slices.Compact(documented)
	if len(example) < 20 || !slices.Equal(example, documented) {
		t.Errorf("keys of the example:\n%q\nkeys of docs/configuration.md:\n%q", example, documented)
	}
}

// Goal: the tests, conversations and sabotages that watch a promise exist.
func TestPromisesNameWhatExists(t *testing.T) {
	var tests, conversations, code strings.Builder
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case strings.HasSuffix(name, "_test.go"):
			tests.WriteString(readText(t, name))
		case strings.Contains(name, "testdata/"):
			conversations.WriteString(name + "\n")
		case strings.HasSuffix(name, ".go"):
			code.WriteString(readText(t, name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page := readText(t, "docs/promises.md")
	named := 0
	for _, name := range all("`(Test[A-Za-z0-9]+)`", page) {
		named++
		if !strings.Contains(tests.String(), "func "+name+"(t *testing.T)") {
			t.Errorf("there is no test %s", name)
		}
	}
	for _, name := range all("`([a-z0-9-]+\\.txt)`", page) {
		named++
		if !strings.Contains(conversations.String(), "/"+name+"\n") {
			t.Errorf("there is no conversation %s", name)
		}
	}
	if named < 40 {
		t.Errorf("only %d names were found", named)
	}
	flat := strings.Join(strings.Fields(page), " ")
	for _, m := range regexp.MustCompile(`\{"[A-Z0-9]+", "([^"]+)", \d+`).FindAllStringSubmatch(tests.String(), -1) {
		if !strings.Contains(flat, m[1]) {
			t.Errorf("the sabotage %q is not in docs/promises.md", m[1])
		}
	}
}
