// Package wording words messages for people: it guesses the word that was meant
// and makes foreign text safe to show.
package wording

import (
	"strings"
	"unicode"
)

// Nearest is the one of the words that was most likely meant, "" when none is
// near. Distance is counted in single edits; a third of the word may be wrong.
func Nearest(word string, words []string) string {
	word = strings.ToLower(word)
	if len(word) > 64 {
		return ""
	}
	best, least := "", max(len(word)/3, 1)+1
	for _, w := range words {
		if d := editDistance(word, w); d < least {
			best, least = w, d
		}
	}
	if best != "" {
		return best
	}
	// Half a name, or one with dashes as in Redis Sentinel's file.
	dashed := strings.ReplaceAll(word, "-", "_")
	for _, w := range words {
		if len(w) >= 4 && strings.HasPrefix(dashed, w) || len(word) >= 4 && strings.HasPrefix(w, dashed) {
			return w
		}
	}
	return ""
}

// editDistance is the least number of inserted, deleted, changed or swapped
// neighbouring letters that turns a into b.
func editDistance(a, b string) int {
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}

// maxShown bounds foreign text in a message, in bytes.
const maxShown = 400

// Shown makes text from a file or the network fit for a terminal: no control
// characters that could move the cursor or hide a line, and not too long.
func Shown(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, s)
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "..."
	}
	return s
}

// TrimNewline takes off the line end that editors leave.
func TrimNewline(s string) string {
	return strings.TrimSuffix(strings.TrimSuffix(s, "\n"), "\r")
}

// Plural is the word for n things.
func Plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}
