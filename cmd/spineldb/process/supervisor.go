package process

import (
	"fmt"
	"net"
	"os"
	"time"
)

// supervisorLimit bounds telling the supervisor.
const supervisorLimit = time.Second

// What a supervisor is told.
const (
	Ready    = "READY=1\nSTATUS=Ready to accept connections\n"
	Stopping = "STOPPING=1\n"
)

// Supervised reports whether a supervisor that wants to be told has started
// this process (systemd with Type=notify).
func Supervised() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Tell sends a state to the supervisor. Without one it does nothing.
func Tell(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// A name that begins with "@" is of no file; package net takes it as it is.
	conn, err := net.DialTimeout("unixgram", path, supervisorLimit)
	if err != nil {
		return fmt.Errorf("tell the supervisor at NOTIFY_SOCKET: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(supervisorLimit)); err != nil {
		return fmt.Errorf("tell the supervisor at NOTIFY_SOCKET: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the supervisor at NOTIFY_SOCKET: %w", err)
	}
	return nil
}
