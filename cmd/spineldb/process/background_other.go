//go:build !unix

package process

import (
	"context"
	"errors"
)

// Background is the side of the background process; here there is none.
type Background struct{}

// Detach is refused: this system has no sessions to start in.
func Detach(context.Context) (*Background, error) {
	return nil, errors.New("go to the background: this system does not have it: set daemonize no and use its own means to run services")
}

// Ready does nothing here.
func (*Background) Ready() {}

// Fail does nothing here.
func (*Background) Fail(error) {}
