package acl

import (
	"slices"
	"strings"
	"testing"
)

// Goal: no rules make the reader fail in another way than by an error, and a
// user that was made comes back the same from its line in a file, and from its
// line in a configuration.
func FuzzACLRules(f *testing.F) {
	for _, seed := range []string{
		"", "on >secret ~* &* +@all", "off nopass -@all +ping +info|server +info|cpu -info",
		"on resetchannels &__sentinel__:hello &[-+]sdown +publish", "+@all -@dangerous +sentinel|masters -sentinel",
		"%R~a %W~a %RW~b ~* resetkeys ~c", "(+ping &x) (~y +@slow) clearselectors (+role)", "( +ping ) ()", "(+ping",
		"#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b !2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
		"reset skip-sanitize-payload sanitize-payload resetpass allkeys allchannels allcommands nocommands",
		"+sentinel|master|x +client|id|y +ping| +| -| +@ -@ % & ~ > < # ! ( ) ~\" &\\x00 &\xff",
		"%R~* %W~*", "+info|a +@slow -@slow +info|a", "on &it's &\"q\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, err := New(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if l.SetUser("u", strings.Split(line, " ")) != nil {
			return
		}
		want := l.user("u")
		name, rules, problem := cutFileLine(want.line())
		file, more := l.buildFromFile(name, rules)
		if problem += more; problem != "" {
			t.Fatalf("%q makes %q, and that is refused: %s", line, want.line(), problem)
		}
		config, err := l.parse(strings.TrimPrefix(l.Lines()[1], "user "))
		if err != nil {
			t.Fatalf("%q makes %q, and that is refused: %v", line, l.Lines()[1], err)
		}
		for _, got := range []*user{file, config} {
			if got.line() != want.line() || !slices.EqualFunc(got.selectors, want.selectors, (*selector).equal) {
				t.Fatalf("%q makes %q, and that makes %q", line, want.line(), got.line())
			}
		}
	})
}
