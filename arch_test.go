// Package warden_test holds the one test of the module root: the shape of the
// whole. It reads every Go file of the module and fails when a package stands
// in no ring, when an import points up or sideways, when a mind reaches for
// the outside world, or when a house rule is broken.
//
// If a rule stops serving, change it here in the commit that needs it, and say
// why. There is no list of exceptions.
package warden_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	module       = "github.com/spineldb/warden"
	functionMost = 70  // lines
	fileMost     = 500 // lines, tests excepted
)

// ring is one row of the picture in docs/architecture.md.
type ring struct {
	packages string // a directory, or "parent/*"
	number   int
	reason   string
}

// rings is the picture. The first row that fits a directory counts.
var rings = []ring{
	{".", 5, "this test alone"},
	{"warden", 0, "the nouns: everybody speaks in them, so they know nobody"},
	{"monitor", 1, "a mind: is it down?"},
	{"election", 1, "a mind: who may act, what is agreed?"},
	{"warden/failover", 1, "a mind: what is done?"},
	{"warden/group", 2, "one group's whole mind: joins the three"},
	{"warden/store", 3, "an edge: the disk"},
	{"warden/archive", 3, "an edge: the recent past on disk"},
	{"warden/transcript", 3, "plays conversations with a mind; for tests alone"},
	{"adapters/*", 3, "an edge: one kind of database each"},
	{"discovery/directorytest", 3, "a directory for the tests of those that show one"},
	{"discovery/*", 3, "an edge: how Wardens and clients find each other"},
	{"warden/shell", 4, "the only goroutines; it knows the edges by their interfaces"},
	{"warden/sim", 4, "another shell, on virtual time"},
	{"warden/check", 4, "yet another, for every order of events in a small world"},
	{"cmd/*", 5, "wiring: builds the edges and hands them over"},
	{"cmd/spineldb/certificate", 5, "a part of the command: TLS from files that change"},
	{"cmd/spineldb/chaos", 5, "real processes under faults"},
	{"cmd/spineldb/chaos/*", 5, "parts of the chaos runs: their network, and the judges of histories"},
	{"cmd/spineldb/config", 5, "a part of the command: warden.toml"},
	{"cmd/spineldb/demo", 5, "a part of the command: a failover to watch"},
	{"cmd/spineldb/doctor", 5, "a part of the command: looks at live nodes"},
	{"cmd/spineldb/duration", 5, "a part of the command: reads durations, waits them out"},
	{"cmd/spineldb/hooks", 5, "a part of the command: programs and addresses that are told of events"},
	{"cmd/spineldb/exit", 5, "a part of the command: exit codes"},
	{"cmd/spineldb/journal", 5, "a part of the command: Sentinel's log"},
	{"cmd/spineldb/postgreslab", 5, "a part of the command: real servers for demo, benchmarks and tests"},
	{"cmd/spineldb/process", 5, "a part of the command: background, pidfile, supervisor"},
	{"cmd/spineldb/remote", 5, "a part of the command: asks running Wardens"},
	{"cmd/spineldb/sentinelconf", 5, "a part of the command: sentinel.conf"},
	{"cmd/spineldb/terminal", 5, "a part of the command: colours and size"},
	{"cmd/spineldb/wording", 5, "a part of the command: words for people"},
	{"cmd/spineldb/e2e", 5, "whole processes under test"},
	{"docs/*", 5, "examples that must go on compiling"},
	{"scripts/*", 5, "tools of this repository"},
}

// may says which rings a ring may import. Edges know the nouns and nobody
// else, so that none of them can lean on another.
var may = map[int][]int{
	0: {},
	1: {0},
	2: {0, 1},
	3: {0},
	4: {0, 1, 2},
	5: {0, 1, 2, 3, 4},
}

// testSupport are packages of test code. They may be imported by tests only.
var testSupport = []string{"adapters/adaptertest", "discovery/directorytest", "warden/transcript"}

// impure are the imports that let the outside world into a mind: whoever has
// them can no longer be replayed from a record.
var impure = []struct{ path, reason string }{
	{"time", "a mind is told what time it is"},
	{"net", "a mind opens no socket"},
	{"net/", "a mind opens no socket"},
	{"os", "a mind touches no file and no process"},
	{"os/", "a mind touches no file and no process"},
	{"io/fs", "a mind touches no file"},
	{"sync", "a mind has one caller"},
	{"sync/", "a mind has one caller"},
	{"math/rand", "a mind draws no lots"},
	{"math/rand/", "a mind draws no lots"},
	{"crypto/rand", "a mind draws no lots"},
	{"log", "a mind says everything through its effects"},
	{"log/", "a mind says everything through its effects"},
	{"context", "a mind waits for nothing"},
	{"runtime", "a mind does not know where it runs"},
	{"runtime/", "a mind does not know where it runs"},
	{"syscall", "a mind does not know where it runs"},
	{"unsafe", "a mind is made of values"},
}

// pureEnough are exceptions of ring 0: the interfaces of the edges wait, so
// they name a context; an address is parsed without any network.
var pureEnough = []string{"context", "net/netip"}

// emptyNames say nothing about what is inside.
var emptyNames = []string{"util", "utils", "common", "manager", "handler", "helper", "helpers", "misc"}

func TestShapeOfTheModule(t *testing.T) {
	for _, v := range check(os.DirFS(".")) {
		t.Error(v)
	}
}

// file is one parsed Go file.
type file struct {
	name string // from the root
	text []byte
	tree *ast.File
	test bool
}

// tree is everything that is checked.
type tree struct {
	fset     *token.FileSet
	packages map[string][]file // by directory
	broken   []string
}

// check returns one line for every rule that is broken, sorted.
func check(root fs.FS) []string {
	t := read(root)
	t.checkLayout()
	for dir, files := range t.packages {
		r, ok := ringOf(dir)
		if !ok {
			t.report("%s: stands in no ring: add it to the picture first", dir)
			continue
		}
		t.checkPackage(dir, files)
		for _, f := range files {
			t.checkImports(dir, r, f)
			t.checkSize(f)
			t.checkNames(f)
			if r.number <= 2 && !f.test {
				t.checkPure(r, f)
			}
		}
	}
	slices.Sort(t.broken)
	return t.broken
}

func (t *tree) report(format string, args ...any) {
	t.broken = append(t.broken, fmt.Sprintf(format, args...))
}

func read(root fs.FS) *tree {
	t := &tree{fset: token.NewFileSet(), packages: map[string][]file{}}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		switch {
		case d.IsDir() && name != "." && (strings.HasPrefix(base, ".") || strings.HasSuffix(base, ".data")):
			return fs.SkipDir
		case d.IsDir() || !d.Type().IsRegular():
			return nil
		}
		return t.readFile(root, name)
	})
	if err != nil {
		t.report("read the module: %v", err)
	}
	if len(t.packages) == 0 {
		t.report("read the module: no Go files, so nothing was checked")
	}
	return t
}

func (t *tree) readFile(root fs.FS, name string) error {
	if info, err := fs.Stat(root, name); err != nil || info.Size() > 1<<20 {
		return err // what is larger than a megabyte is no source text
	}
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil
	}
	t.checkText(name, text)
	if !strings.HasSuffix(name, ".go") || strings.Contains(name, "testdata/") {
		return nil
	}
	parsed, err := parser.ParseFile(t.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.report("%s: cannot be parsed: %v", name, err)
		return nil
	}
	dir := path.Dir(name)
	t.packages[dir] = append(t.packages[dir], file{name, text, parsed, strings.HasSuffix(name, "_test.go")})
	return nil
}

func ringOf(dir string) (ring, bool) {
	for _, r := range rings {
		parent, under := strings.CutSuffix(r.packages, "/*")
		if r.packages == dir || under && path.Dir(dir) == parent {
			return r, true
		}
	}
	return ring{}, false
}

// checkLayout fails when a row of the picture has lost its packages, because a
// picture of what is not there misleads.
func (t *tree) checkLayout() {
	for _, r := range rings {
		found := false
		for dir := range t.packages {
			have, ok := ringOf(dir)
			found = found || ok && have.packages == r.packages
		}
		if !found && r.number < 5 {
			t.report("%s: is in the picture and not in the module", r.packages)
		}
	}
}

func (t *tree) checkPackage(dir string, files []file) {
	documented := false
	onlyTests := !slices.ContainsFunc(files, func(f file) bool { return !f.test })
	for _, f := range files {
		name := strings.TrimSuffix(f.tree.Name.Name, "_test")
		if slices.Contains(emptyNames, name) {
			t.report("%s: package %s: the name says nothing about what is inside", f.name, name)
		}
		documented = documented || f.tree.Doc != nil && (!f.test || onlyTests)
	}
	if !documented {
		t.report("%s: has no package comment", dir)
	}
}

func (t *tree) checkImports(dir string, r ring, f file) {
	for _, spec := range f.tree.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.report("%s: import %s: %v", f.name, spec.Path.Value, err)
			continue
		}
		ours, isOurs := strings.CutPrefix(target, module+"/")
		if !isOurs {
			if r.number <= 2 && !f.test && strings.Contains(strings.Split(target, "/")[0], ".") {
				t.report("%s: imports %s: rings 0 to 2 use the standard library only", f.name, target)
			}
			continue
		}
		other, ok := ringOf(ours)
		switch {
		case !ok:
			t.report("%s: imports %s, which stands in no ring", f.name, ours)
		case other.number == 5 && !isPart(ours, dir):
			t.report("%s: imports %s: nobody imports the wiring", f.name, ours)
		case f.test || slices.Contains(testSupport, dir):
			// Tests join what is built apart.
		case slices.Contains(testSupport, ours):
			t.report("%s: imports %s: only tests may", f.name, ours)
		case other.number != 5 && !slices.Contains(may[r.number], other.number):
			t.report("%s: imports %s: ring %d may not import ring %d (%s)", f.name, ours, r.number, other.number, r.reason)
		}
	}
}

// isPart reports whether a package is a part of the command that imports it.
// The parts are there to be read one at a time; they are nobody else's, but for
// the two that the benchmarks need too. The command carries the examples.
func isPart(part, importer string) bool {
	const command = "cmd/spineldb"
	if strings.HasPrefix(importer, "scripts/") && slices.Contains([]string{command + "/duration", command + "/postgreslab"}, part) {
		return true
	}
	return (strings.HasPrefix(part, command+"/") || part == "docs/examples") && (importer == command || strings.HasPrefix(importer, command+"/"))
}

// checkPure keeps the nouns and the minds replayable.
func (t *tree) checkPure(r ring, f file) {
	for _, spec := range f.tree.Imports {
		target, _ := strconv.Unquote(spec.Path.Value)
		for _, bad := range impure {
			if target != bad.path && !(strings.HasSuffix(bad.path, "/") && strings.HasPrefix(target, bad.path)) {
				continue
			}
			if r.number != 0 || !slices.Contains(pureEnough, target) {
				t.report("%s: imports %s: %s", f.name, target, bad.reason)
			}
		}
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		what := ""
		switch n.(type) {
		case *ast.GoStmt:
			what = "a go statement: only the shell starts goroutines"
		case *ast.ChanType:
			what = "a channel: a mind is called and returns"
		case *ast.SelectStmt:
			what = "a select: a mind waits for nothing"
		case *ast.MapType:
			what = "a map: its order would leak; keep a small sorted slice"
		}
		if what != "" {
			t.report("%s: contains %s", t.fset.Position(n.Pos()), what)
		}
		return true
	})
}

func (t *tree) checkSize(f file) {
	if ast.IsGenerated(f.tree) {
		return
	}
	if lines := bytes.Count(f.text, []byte("\n")); lines > fileMost && !f.test {
		t.report("%s: has %d lines, at most %d: divide it", f.name, lines, fileMost)
	}
	for _, d := range f.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		from, to := t.fset.Position(fn.Pos()).Line, t.fset.Position(fn.End()).Line
		if lines := to - from + 1; lines > functionMost {
			t.report("%s: function %s has %d lines, at most %d: divide it", f.name, fn.Name.Name, lines, functionMost)
		}
	}
}

func (t *tree) checkNames(f file) {
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if spec, ok := n.(*ast.TypeSpec); ok {
			for _, empty := range emptyNames {
				if strings.HasSuffix(strings.ToLower(spec.Name.Name), empty) {
					t.report("%s: type %s: the name says nothing about what it is", f.name, spec.Name.Name)
				}
			}
		}
		return true
	})
}

// checkText finds paths that exist on one machine only. They are put together
// here so that this file does not contain them.
func (t *tree) checkText(name string, text []byte) {
	for _, dir := range []string{"work", "home", "root", "Users"} {
		p := "/" + dir + "/"
		for at := 0; ; {
			i := bytes.Index(text[at:], []byte(p))
			if i < 0 {
				break
			}
			at += i + 1
			// "https://host/work/" and "a/work/b" are no paths from the root.
			if before := at - 2; before < 0 || !isWord(text[before]) {
				t.report("%s: line %d: contains the machine path %s", name, bytes.Count(text[:at], []byte("\n"))+1, p)
			}
		}
	}
}

func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || strings.IndexByte("._-})", b) >= 0
}

// sound is a small module that keeps all rules.
func sound() fstest.MapFS {
	out := fstest.MapFS{}
	put := func(name, text string) { out[name] = &fstest.MapFile{Data: []byte(text)} }
	for _, r := range rings {
		dir := strings.Replace(r.packages, "*", "one", 1)
		if dir != "." {
			put(dir+"/doc.go", "// Package x is sound.\npackage x\n")
		}
	}
	put("warden/nouns.go", "package x\nimport \"context\"\nimport \"net/netip\"\nvar _ context.Context\nvar _ netip.Addr\n")
	put("election/mind.go", "package x\nimport \"slices\"\nimport _ \""+module+"/warden\"\nvar _ = slices.Sort[[]int]\n")
	put("election/mind_test.go", "package x\nimport \"time\"\nimport _ \""+module+"/warden/sim\"\nvar m map[string]time.Time\n")
	put("adapters/adaptertest/suite.go", "// Package adaptertest is a suite.\npackage adaptertest\n")
	put("adapters/one/edge_test.go", "package x\nimport _ \""+module+"/adapters/adaptertest\"\n")
	put("cmd/spineldb/doc.go", "// Package x uses a part.\npackage x\nimport _ \""+module+"/cmd/spineldb/exit\"\n")
	put("cmd/spineldb/wording/use.go", "package x\nimport _ \""+module+"/cmd/spineldb/exit\"\n")
	put("README.md", "See https://example.org/"+"work/ and docs/home/index.\n")
	return out
}

// TestEveryRuleCanFail plants one violation after the other into a sound
// module: an alarm that was never heard does not count.
func TestEveryRuleCanFail(t *testing.T) {
	if broken := check(sound()); len(broken) > 0 {
		t.Fatalf("the sound module is reported: %q", broken)
	}
	imports := func(what string) string { return "package x\nimport _ \"" + what + "\"\n" }
	long := strings.Repeat("\n", functionMost)
	plants := map[string]struct{ name, text, want string }{
		"no ring":              {"gateway/x.go", "// Package x.\npackage x\n", "gateway: stands in no ring"},
		"no ring, nested":      {"adapters/one/two/x.go", "// Package x.\npackage x\n", "stands in no ring"},
		"import up":            {"warden/x.go", imports(module + "/monitor"), "ring 0 may not import ring 1"},
		"mind to mind":         {"monitor/x.go", imports(module + "/election"), "ring 1 may not import ring 1"},
		"mind to group":        {"election/x.go", imports(module + "/warden/group"), "ring 1 may not import ring 2"},
		"group to edge":        {"warden/group/x.go", imports(module + "/warden/store"), "ring 2 may not import ring 3"},
		"edge to edge":         {"adapters/one/x.go", imports(module + "/discovery/one"), "ring 3 may not import ring 3"},
		"store to mind":        {"warden/store/x.go", imports(module + "/election"), "ring 3 may not import ring 1"},
		"shell to edge":        {"warden/shell/x.go", imports(module + "/adapters/one"), "ring 4 may not import ring 3"},
		"shell to shell":       {"warden/shell/x.go", imports(module + "/warden/sim"), "ring 4 may not import ring 4"},
		"anyone to wiring":     {"warden/shell/x_test.go", imports(module + "/cmd/one"), "nobody imports the wiring"},
		"anyone to a part":     {"warden/shell/x_test.go", imports(module + "/cmd/spineldb/exit"), "nobody imports the wiring"},
		"command to a part":    {"cmd/one/x.go", imports(module + "/cmd/spineldb/exit"), "nobody imports the wiring"},
		"part to the command":  {"cmd/spineldb/exit/x.go", imports(module + "/cmd/spineldb"), "nobody imports the wiring"},
		"unknown import":       {"warden/shell/x.go", imports(module + "/elsewhere"), "which stands in no ring"},
		"suite in production":  {"cmd/one/x.go", imports(module + "/adapters/adaptertest"), "only tests may"},
		"dependency in a mind": {"election/x.go", imports("go.etcd.io/bbolt"), "standard library only"},
		"goroutine":            {"election/x.go", "package x\nfunc f() { go f() }\n", "a go statement"},
		"channel":              {"monitor/x.go", "package x\nvar c chan int\n", "a channel"},
		"select":               {"warden/failover/x.go", "package x\nfunc f() { select {} }\n", "a select"},
		"map":                  {"warden/group/x.go", "package x\nvar m map[string]int\n", "a map"},
		"context in a mind":    {"monitor/x.go", imports("context"), "waits for nothing"},
		"netip in a mind":      {"monitor/x.go", imports("net/netip"), "opens no socket"},
		"no comment":           {"discovery/two/x.go", "package x\n", "discovery/two: has no package comment"},
		"long function":        {"cmd/one/x.go", "package x\nfunc f() {" + long + "}\n", "function f has 71 lines"},
		"long test function":   {"cmd/one/x_test.go", "package x\nfunc f() {" + long + "}\n", "function f has 71 lines"},
		"long file":            {"cmd/one/x.go", "package x\n" + strings.Repeat("\n", fileMost), "has 501 lines"},
		"empty package name":   {"adapters/util/x.go", "// Package util.\npackage util\n", "package util: the name says nothing"},
		"empty type name":      {"monitor/x.go", "package x\ntype NodeManager struct{}\n", "type NodeManager: the name says nothing"},
		"machine path":         {"docs/x.md", "see\n" + "/ho" + "me/somebody\n", "docs/x.md: line 2: contains the machine path"},
		"no Go":                {"monitor/x.go", "package", "cannot be parsed"},
	}
	for _, bad := range impure {
		target := strings.Replace(bad.path+"x", "/x", "/anything", 1)
		if !strings.HasSuffix(bad.path, "/") {
			target = bad.path
		}
		plants["impure "+bad.path] = struct{ name, text, want string }{"election/x.go", imports(target), "imports " + target + ": " + bad.reason}
	}
	for name, plant := range plants {
		t.Run(name, func(t *testing.T) {
			module := sound()
			module[plant.name] = &fstest.MapFile{Data: []byte(plant.text)}
			broken := check(module)
			if !slices.ContainsFunc(broken, func(line string) bool { return strings.Contains(line, plant.want) }) {
				t.Errorf("planted %s: want a report of %q, got %q", plant.name, plant.want, broken)
			}
		})
	}
}

// TestLostPackageIsReported covers the rules about what is not there.
func TestLostPackageIsReported(t *testing.T) {
	module := sound()
	delete(module, "monitor/doc.go")
	if got := check(module); !slices.Contains(got, "monitor: is in the picture and not in the module") {
		t.Errorf("a lost package is not reported: %q", got)
	}
	if got := check(fstest.MapFS{}); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "nothing was checked") }) {
		t.Errorf("an empty module is not reported: %q", got)
	}
}
