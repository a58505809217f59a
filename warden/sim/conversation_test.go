package sim

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what was said into testdata/*.txt; commit only changes you can explain")

// TestConversations plays testdata/*.txt: above a line of dashes what is done,
// below it what everybody did and said.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("find conversations: %v, %d files", err, len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			written, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			said, err := play(string(written))
			if err != nil {
				t.Fatalf("%v\nso far:\n%s", err, said)
			}
			if said == string(written) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(said), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("said something else than what is written (-rewrite accepts it)\n%s\n--- all of it now:\n%s",
				difference(string(written), said), said)
		})
	}
}

// play performs a conversation and returns its text as it should be.
func play(text string) (string, error) {
	var out strings.Builder
	c := &Conversation{}
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i := 0; i < len(lines); {
		line := lines[i]
		i++
		if line == "" || strings.HasPrefix(line, "#") {
			out.WriteString(line + "\n")
			continue
		}
		var said []string
		for line != "----" {
			out.WriteString(line + "\n")
			more, err := c.Do(line)
			said = append(said, more...)
			if err != nil {
				return out.String() + "----\n" + strings.Join(said, "\n"), err
			}
			if i == len(lines) || lines[i] == "" {
				break
			}
			line = lines[i]
			i++
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
