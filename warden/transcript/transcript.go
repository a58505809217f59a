// Package transcript plays conversations: text files that say what is done to
// a mind and, below a line of dashes, what it then did and said.
//
//	# A remark. Blocks are parted by empty lines.
//	node a silent
//	pass 3s
//	----
//	2.000s  +sdown a  silent for 2s
//
// The package knows no mind. A test brings the verbs, and the flag -rewrite
// writes what was said into the files; commit only changes you can explain.
// It is for tests alone.
package transcript

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

var rewrite = flag.Bool("rewrite", false, "write what was said into testdata/*.txt; commit only changes you can explain")

// Listener performs one line and returns what was said because of it.
type Listener func(w *Words) ([]string, error)

// Play plays every testdata/*.txt as a test of its own. begin makes a new
// listener for each file.
func Play(t *testing.T, begin func() Listener) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find conversations in testdata: %v, %d files", err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { playFile(t, file, begin()) })
	}
}

func playFile(t *testing.T, file string, listen Listener) {
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	said, err := Text(string(written), listen)
	if err != nil {
		t.Fatalf("%v\nso far:\n%s", err, said)
	}
	switch {
	case said == string(written):
	case *rewrite:
		if err := os.WriteFile(file, []byte(said), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("something else was said than is written (-rewrite accepts it)\n%s", difference(string(written), said))
	}
}

// Text performs a conversation and returns it with what was really said. The
// error names the line that could not be performed.
func Text(text string, listen Listener) (string, error) {
	var out strings.Builder
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			out.WriteString(lines[i] + "\n")
			i++
			continue
		}
		var said []string
		for ; i < len(lines) && lines[i] != "" && lines[i] != "----"; i++ {
			out.WriteString(lines[i] + "\n")
			if strings.HasPrefix(lines[i], "#") {
				continue
			}
			w := parse(lines[i])
			more, err := listen(w)
			if said = append(said, more...); err == nil {
				err = w.unused()
			}
			if err != nil {
				return out.String() + strings.Join(said, "\n"), fmt.Errorf("%s: %w", lines[i], err)
			}
		}
		for i < len(lines) && lines[i] != "" {
			i++ // what was written below the dashes
		}
		if len(said) == 0 {
			said = []string{"ok"}
		}
		out.WriteString("----\n" + strings.Join(said, "\n") + "\n")
	}
	return out.String(), nil
}

// difference shows the first line in which two texts differ, with the lines
// around it.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	from := max(i-6, 0)
	return fmt.Sprintf("line %d\nwritten:\n%s\nsaid:\n%s", i+1,
		strings.Join(w[from:min(i+8, len(w))], "\n"), strings.Join(g[from:min(i+8, len(g))], "\n"))
}

// Words is one line: a verb, plain words, and words of the form name=value.
// A word that nobody asked for is an error, so that a slip of the pen is not
// silently without effect.
type Words struct {
	Verb  string
	words []string
	used  []bool
	err   error
}

func parse(line string) *Words {
	fields := strings.Fields(line)
	return &Words{Verb: fields[0], words: fields[1:], used: make([]bool, len(fields)-1)}
}

// Next is the next plain word that nobody has asked for, "" when there is none.
func (w *Words) Next() string {
	for i, word := range w.words {
		if !w.used[i] && !strings.Contains(word, "=") {
			w.used[i] = true
			return word
		}
	}
	return ""
}

// Has reports whether the plain word is there.
func (w *Words) Has(word string) bool {
	i := slices.Index(w.words, word)
	if i >= 0 {
		w.used[i] = true
	}
	return i >= 0
}

// Value is the value of name=value, and whether it is there.
func (w *Words) Value(name string) (string, bool) {
	for i, word := range w.words {
		if n, v, ok := strings.Cut(word, "="); ok && n == name {
			w.used[i] = true
			return v, true
		}
	}
	return "", false
}

// Word sets to from name=value, if it is there.
func Word[T ~string](w *Words, name string, to *T) {
	if v, ok := w.Value(name); ok {
		*to = T(v)
	}
}

// List sets to from name=a,b,c, if it is there.
func List[T ~string](w *Words, name string, to *[]T) {
	v, ok := w.Value(name)
	if !ok {
		return
	}
	*to = nil
	for _, s := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' }) {
		*to = append(*to, T(s))
	}
}

// Number sets to from name=12, if it is there. A value that is no number is
// reported with the line.
func Number[T ~int | ~int64 | ~uint64](w *Words, name string, to *T) {
	v, ok := w.Value(name)
	if !ok {
		return
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		w.err = fmt.Errorf("read %s: %w", name, err)
	}
	*to = T(n)
}

// Time sets to from name=2s or name=150ms, if it is there.
func (w *Words) Time(name string, to *warden.Duration) {
	if v, ok := w.Value(name); ok {
		d, err := Duration(v)
		if err != nil {
			w.err = err
		}
		*to = d
	}
}

// NextTime is the next plain word, read as a duration.
func (w *Words) NextTime() (warden.Duration, error) { return Duration(w.Next()) }

func (w *Words) unused() error {
	if w.err != nil {
		return w.err
	}
	if i := slices.Index(w.used, false); i >= 0 {
		return fmt.Errorf("%q says nothing to %s", w.words[i], w.Verb)
	}
	return nil
}

// Duration reads "2s" or "150ms".
func Duration(text string) (warden.Duration, error) {
	unit := warden.Second
	number, ok := strings.CutSuffix(text, "ms")
	if ok {
		unit = warden.Millisecond
	} else if number, ok = strings.CutSuffix(text, "s"); !ok {
		return 0, fmt.Errorf("read duration %q: write seconds or milliseconds, 2s or 150ms", text)
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("read duration %q: %w", text, err)
	}
	return warden.Duration(f * float64(unit)), nil
}
