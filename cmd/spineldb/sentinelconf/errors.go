package sentinelconf

import (
	"fmt"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/wording"
)

// Error is a line of a configuration that is not accepted.
type Error struct {
	// File is where the line stands: a path, or CommandLine.
	File string
	// Line counts from 1; 0 where no line is to blame.
	Line int
	// Text is the line, with what could be a password hidden.
	Text string
	// Reason is why, in Sentinel's words where it has any.
	Reason string
	// Hint is a remedy, empty if the reason says it all.
	Hint string
}

// CommandLine is the File of what was given on the command line.
const CommandLine = "command line"

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Text != "" {
		fmt.Fprintf(&b, "'%s': ", e.Text)
	}
	b.WriteString(e.Reason)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// problem is why a line is refused, before it is known which line it is.
type problem struct{ reason, hint string }

func refuse(reason string) *problem { return &problem{reason: reason} }

const hidden = "****"

// secret reports whether a directive holds a password, so that nothing after
// its name may be shown: not even the words before the password, since one of
// them may have been forgotten.
func secret(directive string) bool {
	switch directive {
	case "requirepass", "masterauth", "primaryauth", "tls-key-file-pass", "tls-client-key-file-pass", "user",
		"sentinel auth-pass", "sentinel sentinel-pass":
		return true
	}
	return false
}

// safe is a line fit for a message. It is shown as it is if it begins with a
// directive that there is and that holds no password. Of any other line only
// the name is shown, because a misspelt name may well be followed by a password.
func safe(text string) string {
	// The quotes may not match, so the words are those between blanks.
	words := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || isControl(r) })
	if len(words) == 0 {
		return ""
	}
	// What follows one of these belongs to no name.
	const divides = "=:\"'"
	first := words[:1]
	if strings.EqualFold(words[0], "sentinel") && len(words) > 1 {
		first = words[:2]
	}
	name := strings.ToLower(strings.Join(first, " "))
	if len(first) == 2 {
		name = directiveName([]string{"sentinel", words[1]})
	}
	if exists(name) && !secret(name) || len(words) == len(first) && !strings.ContainsAny(name, divides) {
		return wording.Shown(text)
	}
	shown := strings.Join(first, " ")
	if i := strings.IndexAny(shown, "=:\"'"); i >= 0 {
		shown = shown[:i]
	}
	return wording.Shown(shown) + " " + hidden
}

// exists reports whether there is a directive of that name, "port" or
// "sentinel monitor".
func exists(name string) bool {
	if word, ok := strings.CutPrefix(name, "sentinel "); ok {
		_, _, ok = spelling(word)
		return ok
	}
	_, ok := findDirective(name)
	return ok || name == "sentinel"
}

// meant is the remedy for an unknown word: the one that was probably meant.
func meant(word string, names []string) string {
	// All names here are written with dashes.
	if near := wording.Nearest(strings.ReplaceAll(word, "_", "-"), names); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}
