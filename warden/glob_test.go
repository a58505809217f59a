package warden

import (
	"strings"
	"testing"
)

// Goal: a pattern matches what Redis lets it match.
func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true}, {"*", "+sdown", true}, {"", "", true}, {"", "a", false}, {"+sdown", "+sdown", true}, {"+sdown", "+SDOWN", false},
		{"[-+]sdown", "+sdown", true}, {"[-+]sdown", "-sdown", true}, {"[-+]sdown", "sdown", false}, {"?sdown", "+sdown", true},
		{"+s*n", "+sdown", true}, {"+s*x", "+sdown", false}, {"*down*", "+sdown", true}, {"**down", "+odown", true},
		{"[^-]sdown", "+sdown", true}, {"[^-]sdown", "-sdown", false}, {"[a-c]x", "bx", true}, {"[c-a]x", "bx", true}, {"[a-c]x", "dx", false},
		{`\*`, "*", true}, {`\*`, "a", false}, {`[\]]`, "]", true}, {`a\`, `a\`, true}, {"[abc", "c", true}, {"[abc", "d", false}, {"[", "a", false},
		{"[^", "a", true}, {"[]a", "a", false}, {"a*b*c", "a__b__b_c", true}, {"my?aster", "mymaster", true},
		{"[+-]sdown", "+sdown", false}, // the quirk: a range up to the bracket
	} {
		if got := MatchGlob(c.pattern, c.s); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.s, got)
		}
		if got := slowGlob(c.pattern, c.s); got != c.want {
			t.Errorf("the model: %q matches %q: %v", c.pattern, c.s, got)
		}
	}
}

// slowGlob is the model: the rule for * tried out in full.
func slowGlob(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return slowGlob(pattern[1:], s) || s != "" && slowGlob(pattern, s[1:])
	}
	if s == "" {
		return false
	}
	ok, width := matchByte(pattern, s[0])
	return ok && slowGlob(pattern[width:], s[1:])
}

// Goal: the quick matcher and the model agree, and no pattern is slow.
func FuzzGlob(f *testing.F) {
	f.Add("[-+]sdown", "+sdown")
	f.Add("*a*b[^c-d]?\\*", "xaxbe?*")
	f.Add(strings.Repeat("*a", 500), strings.Repeat("a", 400)+"b")
	f.Add("[", "[")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		got := MatchGlob(pattern, s)
		if strings.Count(pattern, "*") > 4 || len(s) > 40 {
			return // the model would take for ever
		}
		if want := slowGlob(pattern, s); got != want {
			t.Errorf("%q matches %q: got %v, want %v", pattern, s, got, want)
		}
	})
}
