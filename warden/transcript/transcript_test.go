package transcript

import (
	"errors"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// echo answers "say x y" with its words, and knows "wait" and "add".
func echo(w *Words) ([]string, error) {
	switch w.Verb {
	case "say":
		var out []string
		for s := w.Next(); s != ""; s = w.Next() {
			out = append(out, s)
		}
		return out, nil
	case "wait":
		d, err := w.NextTime()
		return []string{d.String()}, err
	case "add":
		var n int
		Number(w, "n", &n)
		return nil, nil
	}
	return nil, errors.New("no such verb")
}

// What is written below the dashes is replaced by what is said, and everything
// else is kept as it is.
func TestText(t *testing.T) {
	in := "# about\n\nsay a b\n# in between\nwait 1.5s\n----\nold\nwords\n\nadd n=1\n"
	want := "# about\n\nsay a b\n# in between\nwait 1.5s\n----\na\nb\n1.500s\n\nadd n=1\n----\nok\n"
	got, err := Text(in, echo)
	if err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if again, err := Text(got, echo); err != nil || again != got {
		t.Errorf("played again: %q, %v", again, err)
	}
}

// A slip of the pen stops the conversation with the line that holds it.
func TestTextRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"shout":      "no such verb",
		"say a=b":    `"a=b" says nothing to say`,
		"add n=x":    "read n",
		"add n=1 m":  `"m" says nothing to add`,
		"wait 3 min": "write seconds or milliseconds",
	} {
		if _, err := Text("say a\n"+line+"\n", echo); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: got %v, want %q", line, err, want)
		}
	}
}

func TestWords(t *testing.T) {
	w := parse("verb loud name=x list=a,b when=150ms")
	name, list, when := "", []warden.NodeID(nil), warden.Duration(0)
	Word(w, "name", &name)
	List(w, "list", &list)
	w.Time("when", &when)
	if !w.Has("loud") || w.Has("quiet") || name != "x" || len(list) != 2 || when != 150*warden.Millisecond || w.unused() != nil {
		t.Errorf("read %q %q %v, unused %v", name, list, when, w.unused())
	}
	if _, ok := w.Value("other"); ok {
		t.Error("a word that is not there was found")
	}
}

func TestDifference(t *testing.T) {
	if got := difference("a\nb\nc", "a\nx\nc"); !strings.HasPrefix(got, "line 2\n") || !strings.Contains(got, "b") || !strings.Contains(got, "x") {
		t.Errorf("got %q", got)
	}
}
