package sentinelconf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errUnbalanced is what Sentinel says of a line whose quotes do not match.
var errUnbalanced = errors.New("Unbalanced quotes in configuration line") //nolint:staticcheck // Sentinel's words

// Split divides a line into words by Redis's rules. Blanks divide; "..." may
// hold blanks and the escapes \n \r \t \b \a \\ \" \xHH (any other escaped
// character stands for itself); '...' holds everything as it is but \'. A
// closing quote ends the word and a blank must follow it.
func Split(line string) ([]string, error) {
	var words []string
	for i := 0; ; {
		for i < len(line) && isBlank(line[i]) {
			i++
		}
		if i == len(line) {
			return words, nil
		}
		word, next, err := splitOne(line, i)
		if err != nil {
			return nil, err
		}
		words, i = append(words, word), next
	}
}

// splitOne reads the word that begins at i and returns where it ends.
func splitOne(line string, i int) (string, int, error) {
	var b strings.Builder
	for i < len(line) && !isBlank(line[i]) {
		c := line[i]
		i++
		if c != '"' && c != '\'' {
			b.WriteByte(c)
			continue
		}
		end, err := unquote(&b, line, i, c)
		if err != nil {
			return "", 0, err
		}
		if end < len(line) && !isBlank(line[end]) {
			return "", 0, errUnbalanced
		}
		return b.String(), end, nil
	}
	return b.String(), i, nil
}

// unquote reads up to the closing quote and returns the place after it.
func unquote(b *strings.Builder, line string, i int, quote byte) (int, error) {
	for i < len(line) {
		c := line[i]
		switch {
		case c == quote:
			return i + 1, nil
		case c != '\\' || i+1 == len(line):
			b.WriteByte(c)
			i++
		case quote == '\'':
			if line[i+1] == '\'' {
				i++
			}
			b.WriteByte(line[i])
			i++
		default:
			i += escaped(b, line[i:])
		}
	}
	return 0, errUnbalanced
}

// escaped writes what an escape at the start of text stands for and returns
// its length.
func escaped(b *strings.Builder, text string) int {
	if len(text) >= 4 && text[1] == 'x' {
		if n, err := strconv.ParseUint(text[2:4], 16, 8); err == nil {
			b.WriteByte(byte(n))
			return 4
		}
	}
	if i := strings.IndexByte("nrtba", text[1]); i >= 0 {
		b.WriteByte("\n\r\t\b\a"[i])
	} else {
		b.WriteByte(text[1])
	}
	return 2
}

func isBlank(c byte) bool {
	return c == ' ' || c >= '\t' && c <= '\r'
}

// Join writes words as one line that Split reads as the same words. Control
// characters are refused, because a line end inside of a value would become a
// line of the file. The error gives the number of the word, from 0, and never
// its text.
func Join(words ...string) (string, error) {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if strings.ContainsFunc(w, isControl) {
			return "", fmt.Errorf("word %d contains a control character, which no line of the file can hold: leave it out", i)
		}
		if w != "" && !strings.ContainsAny(w, ` "'`) && (i > 0 || w[0] != '#') {
			b.WriteString(w)
			continue
		}
		b.WriteString(quoted(w))
	}
	return b.String(), nil
}

func quoted(w string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
