//go:build !linux

package resp

import "errors"

// lobby is known on Linux alone: elsewhere each client's goroutine waits for
// what arrives.
type lobby struct{}

func newLobby(*Server) (*lobby, error) { return nil, errors.ErrUnsupported }

func (*lobby) run() {}

func (*lobby) end() {}

func (*lobby) enter(*client) bool { return false }

func (*lobby) release(*client) {}
