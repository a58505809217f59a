package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// TestExample watches a server, takes it away, and reads the verdicts.
func TestExample(t *testing.T) {
	server := miniredis.RunT(t)
	address := server.Addr()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{address}, writer)
		writer.Close()
		ended <- err
	}()
	server.Close()
	// The words are those of a crash: nothing listens there any more.
	lines := bufio.NewScanner(reader)
	for want := range strings.SplitSeq("+sdown +odown", " ") {
		if !lines.Scan() || !strings.HasPrefix(lines.Text(), want+" "+address) {
			t.Fatalf("got %q, want a line with %s of %s", lines.Text(), want, address)
		}
	}
	reader.Close() // whatever else it would say, nobody waits for
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{nil, {"nowhere"}} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), "read arguments") {
			t.Errorf("run(%q): %v", args, err)
		}
	}
}
