package main

import (
	"strings"
	"testing"
)

// TestInstrument holds the rule of main.go: what is put behind which number, and
// whether it becomes true or false without it.
func TestInstrument(t *testing.T) {
	const src = `package p

func f(a, b bool, n int, p *int) bool {
	if a { // guard: S1
		return false
	}
	if b { // guard: S2
		n++
	}
	switch {
	case n > 3: // guard: S3
		n = 0
	}
	n = 7 // guard: S4
	ok := p != nil && a && (b || n > 1) // guard: S5
	if ok {
		return n == 1 // guard: S6
	}
	return a || b // guard: S7 S8
}
`
	cuts, changed, pkg, err := instrumentFile("f.go", []byte(src), 11)
	if err != nil || pkg != "p" {
		t.Fatalf("package %q: %v", pkg, err)
	}
	want := []string{
		"if (!guardIsOut(11) && (a)) {", "if (guardIsOut(12) || (b)) {", "case (!guardIsOut(13) && (n > 3)):", "if !guardIsOut(14) { n = 7 }",
		"ok := p != nil && (guardIsOut(15) || (a)) && (guardIsOut(16) || ((b || n > 1)))", "return (guardIsOut(17) || (n == 1))",
		"return (!guardIsOut(18) && (a)) || (!guardIsOut(19) && (b))",
	}
	for _, line := range want {
		if !strings.Contains(string(changed), line) {
			t.Errorf("%s is missing in\n%s", line, changed)
		}
	}
	if len(cuts) != 9 || cuts[8].promise != "S7 S8" || cuts[8].line != 19 || cuts[8].number != 19 {
		t.Errorf("the cuts are %+v", cuts)
	}
}

// TestMarkWithoutGuard: a mark on a line where no condition begins is a mistake.
func TestMarkWithoutGuard(t *testing.T) {
	_, _, _, err := instrumentFile("f.go", []byte("package p\n\n// guard: S1\n\nvar x = 1\n"), 1)
	if err == nil || !strings.Contains(err.Error(), "f.go:3") {
		t.Errorf("the mistake is not told: %v", err)
	}
}
