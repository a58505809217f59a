package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cut is one way to take a guard out.
type cut struct {
	number  int
	file    string
	line    int
	promise string
	what    string // the text that is made to count no more
}

func (c cut) place() string { return fmt.Sprintf("%s:%d", c.file, c.line) }

func (c cut) String() string {
	what := strings.Join(strings.Fields(c.what), " ")
	if len(what) > 60 {
		what = what[:57] + "..."
	}
	return fmt.Sprintf("%s %s: %s", c.place(), c.promise, what)
}

// edit replaces a piece of a file.
type edit struct {
	from, to int // offsets
	text     string
}

// instrument finds the guards of packages and puts each behind its number. The
// files are the changed ones and one more for each package.
func instrument(packages []string) ([]cut, map[string][]byte, error) {
	var cuts []cut
	files := map[string][]byte{}
	for _, dir := range packages {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			return nil, nil, err
		}
		name := ""
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			src, err := os.ReadFile(path)
			if err != nil {
				return nil, nil, fmt.Errorf("read the core: %w", err)
			}
			found, changed, pkg, err := instrumentFile(path, src, len(cuts)+1)
			if err != nil {
				return nil, nil, err
			}
			name = pkg
			if len(found) > 0 {
				cuts, files[path] = append(cuts, found...), changed
			}
		}
		if name == "" {
			return nil, nil, fmt.Errorf("read the core: no Go files in %s: run this at the root of the repository", dir)
		}
		files[filepath.Join(dir, "guardswitch.go")] = []byte(fmt.Sprintf(switchFile, name))
	}
	return cuts, files, nil
}

// switchFile is what an instrumented package has beside its own files.
const switchFile = `package %s

import "os"
import "strconv"

var guardOut, _ = strconv.Atoi(os.Getenv("WARDEN_GUARD_OUT"))

func guardIsOut(n int) bool { return n == guardOut }
`

// instrumentFile puts the guards of one file behind numbers, the first of which
// is given.
func instrumentFile(path string, src []byte, number int) (cuts []cut, changed []byte, pkg string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, src, parser.ParseComments)
	if err != nil {
		return nil, nil, "", fmt.Errorf("read the core: %w", err)
	}
	marks := map[int]string{}
	for _, group := range file.Comments {
		for _, c := range group.List {
			if promise, ok := strings.CutPrefix(c.Text, "// guard: "); ok {
				marks[fset.Position(c.Pos()).Line] = strings.TrimSpace(promise)
			}
		}
	}
	m := &marker{fset: fset, src: src, path: path, marks: marks, number: number}
	ast.Inspect(file, m.visit)
	for line := range marks {
		return nil, nil, "", fmt.Errorf("read %s:%d: no condition or statement begins on the line that is marked as a guard", path, line)
	}
	slices.SortFunc(m.edits, func(a, b edit) int { return b.from - a.from })
	changed = slices.Clone(src)
	for _, e := range m.edits {
		changed = slices.Replace(changed, e.from, e.to, []byte(e.text)...)
	}
	return m.cuts, changed, file.Name.Name, nil
}

// marker collects the guards of a file while its syntax tree is walked.
type marker struct {
	fset   *token.FileSet
	src    []byte
	path   string
	marks  map[int]string // by line, those that were not met yet
	number int
	cuts   []cut
	edits  []edit
}

// visit looks at one node; the outermost that begins on a marked line is meant.
func (m *marker) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.IfStmt:
		if promise, line := m.marked(n); promise != "" {
			m.condition(n.Cond, promise, line, leaves(n.Body.List))
		}
	case *ast.CaseClause:
		if promise, line := m.marked(n); promise != "" {
			for _, x := range n.List {
				m.condition(x, promise, line, true)
			}
		}
	case *ast.ReturnStmt, *ast.AssignStmt, *ast.ExprStmt:
		if promise, line := m.marked(n); promise != "" && !m.chain(n, promise, line) {
			m.statement(n, promise, line)
		}
	}
	return true
}

func (m *marker) marked(n ast.Node) (string, int) {
	line := m.fset.Position(n.Pos()).Line
	promise := m.marks[line]
	delete(m.marks, line)
	return promise, line
}

// leaves reports whether statements end by leaving what they stand in.
func leaves(body []ast.Stmt) bool {
	if len(body) == 0 {
		return false
	}
	switch body[len(body)-1].(type) {
	case *ast.ReturnStmt, *ast.BranchStmt:
		return true
	}
	return false
}

// condition makes a condition never or always true.
func (m *marker) condition(x ast.Expr, promise string, line int, never bool) {
	if never {
		m.wrap(x, "(!guardIsOut(%d) && (%s))", promise, line)
	} else {
		m.wrap(x, "(guardIsOut(%d) || (%s))", promise, line)
	}
}

// chain leaves out each part of the first chain of && or || in a statement.
func (m *marker) chain(n ast.Node, promise string, line int) bool {
	var first *ast.BinaryExpr
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.BinaryExpr:
			if first == nil && (n.Op == token.LAND || n.Op == token.LOR) {
				first = n
			}
		}
		return first == nil
	})
	if first == nil {
		return m.verdict(n, promise, line)
	}
	format := "(guardIsOut(%d) || (%s))"
	if first.Op == token.LOR {
		format = "(!guardIsOut(%d) && (%s))"
	}
	for _, x := range parts(first, first.Op) {
		if !asksForNil(x) {
			m.wrap(x, format, promise, line)
		}
	}
	return true
}

// verdict makes a comparison that is returned always true.
func (m *marker) verdict(n ast.Node, promise string, line int) bool {
	ret, ok := n.(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return false
	}
	if _, ok = ret.Results[0].(*ast.BinaryExpr); ok {
		m.condition(ret.Results[0], promise, line, false)
	}
	return ok
}

// asksForNil reports whether a part of a chain only keeps the next from failing.
func asksForNil(x ast.Expr) bool {
	b, ok := x.(*ast.BinaryExpr)
	if !ok {
		return false
	}
	id, ok := b.Y.(*ast.Ident)
	return ok && id.Name == "nil"
}

// parts are the operands of a chain of one operator.
func parts(x ast.Expr, op token.Token) []ast.Expr {
	if b, ok := x.(*ast.BinaryExpr); ok && b.Op == op {
		return append(parts(b.X, op), parts(b.Y, op)...)
	}
	return []ast.Expr{x}
}

// statement has a statement not executed.
func (m *marker) statement(n ast.Node, promise string, line int) {
	m.wrap(n, "if !guardIsOut(%d) { %s }", promise, line)
}

func (m *marker) wrap(n ast.Node, format, promise string, line int) {
	from, to := m.fset.Position(n.Pos()).Offset, m.fset.Position(n.End()).Offset
	text := string(m.src[from:to])
	m.cuts = append(m.cuts, cut{number: m.number, file: m.path, line: line, promise: promise, what: text})
	m.edits = append(m.edits, edit{from, to, fmt.Sprintf(format, m.number, text)})
	m.number++
}
