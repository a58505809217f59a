package acl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// splitQuoted splits a line of a configuration into words, as Redis does: words
// may stand in "double quotes", with escapes such as \n and \x41, or in 'single
// quotes', with \' alone.
func splitQuoted(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r\n\v\f")
		if line == "" {
			return words, nil
		}
		word, rest, ok := cutWord(line)
		if !ok {
			return nil, errors.New("unbalanced quotes: a quote must be closed, and a blank follow it")
		}
		words, line = append(words, word), rest
	}
}

// cutWord takes the first word off a line that begins with one.
func cutWord(line string) (word, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"' || c == '\'':
			text, width, closed := cutQuoted(line[i:])
			end := i + width
			if !closed || end < len(line) && !spaced(line[end:end+1]) {
				return "", "", false
			}
			b.WriteString(text)
			return b.String(), line[end:], true
		case spaced(line[i : i+1]):
			return b.String(), line[i:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", true
}

// cutQuoted reads quoted text; width is its length with both quotes.
func cutQuoted(s string) (text string, width int, closed bool) {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == quote:
			return b.String(), i + 1, true
		case s[i] != '\\' || i+1 == len(s):
			b.WriteByte(s[i])
		case quote == '\'' && s[i+1] != '\'':
			b.WriteByte('\\')
		case quote == '"' && s[i+1] == 'x' && i+3 < len(s) && isHex(s[i+2:i+4]):
			n, _ := strconv.ParseUint(s[i+2:i+4], 16, 8)
			b.WriteByte(byte(n))
			i += 3
		default:
			i++
			b.WriteByte(unescape(s[i], quote))
		}
	}
	return "", 0, false
}

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }

func unescape(c, quote byte) byte {
	if at := strings.IndexByte("nrtba", c); at >= 0 && quote == '"' {
		return "\n\r\t\b\a"[at]
	}
	return c
}

// quoted writes a word so that splitQuoted returns it. A word without anything
// special is left as it is.
func quoted(word string) string {
	plain := func(r rune) bool { return r > ' ' && r < 0x7f && !strings.ContainsRune(`"'\`, r) }
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(word) {
		switch c := word[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
