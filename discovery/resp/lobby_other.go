//go:build !linux

package resp

import (
	"errors"
	"net"
)

// lobby is known on Linux alone: elsewhere each client's goroutine waits for
// what arrives.
type lobby struct{}

func newLobby(*Server) (*lobby, error) { return nil, errors.ErrUnsupported }

func (*lobby) run() {}

func (*lobby) end() {}

func (*lobby) adopt(conn net.Conn) net.Conn { return conn }

func (*lobby) enter(*client) bool { return false }

func (*lobby) leave(*client) {}

func (*lobby) release(*client) {}
