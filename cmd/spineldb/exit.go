package main

import (
	"errors"
	"fmt"
)

// Exit codes, documented for scripts.
const (
	exitDone        = 0
	exitRefused     = 1 // refused, or the Wardens do not agree
	exitUsage       = 2 // wrong flags, arguments or configuration
	exitUnreachable = 3 // no Warden could be asked; nothing was changed
	exitUnknown     = 4 // an order was sent and its result is not known
)

// exitError is an error that knows the exit code it deserves. With no text it
// has been told already.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

func exitWith(code int, format string, args ...any) error {
	return &exitError{code, fmt.Sprintf(format, args...)}
}

func usage(format string, args ...any) error { return exitWith(exitUsage, format, args...) }

// exitCode is what the process returns for an error.
func exitCode(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &e):
		return e.code
	}
	return exitRefused
}
