// Package exit holds the exit codes of the command, which scripts rely on, and
// the errors that carry them.
package exit

import (
	"errors"
	"fmt"
)

// Exit codes, documented for scripts.
const (
	Done        = 0
	Refused     = 1 // refused, or the Wardens do not agree
	Usage       = 2 // wrong flags, arguments or configuration
	Unreachable = 3 // no Warden could be asked; nothing was changed
	Unknown     = 4 // an order was sent and its result is not known
)

// coded is an error that knows the exit code it deserves. With no text it has
// been told already.
type coded struct {
	code int
	text string
}

func (e *coded) Error() string { return e.text }

// With is an error that ends with a code.
func With(code int, format string, args ...any) error {
	return &coded{code, fmt.Sprintf(format, args...)}
}

// Silently ends with a code where the words were told already.
func Silently(code int) error { return &coded{code: code} }

// WrongUsage is the error for wrong flags, arguments or configuration.
func WrongUsage(format string, args ...any) error { return With(Usage, format, args...) }

// Code is what the process returns for an error.
func Code(err error) int {
	var e *coded
	switch {
	case err == nil:
		return Done
	case errors.As(err, &e):
		return e.code
	}
	return Refused
}
