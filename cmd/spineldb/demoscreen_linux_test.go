package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spineldb/warden/cmd/spineldb/exit"
)

// What a terminal is told at the beginning and at the end of the live view.
const (
	viewBegins = "\x1b[?1049h\x1b[?25l\x1b[?7l" // second screen, no cursor, no wrapping
	viewEnds   = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// openTerminal makes a terminal of a size: what is written to screen can be
// read from keyboard.
func openTerminal(t *testing.T, width, height uint16) (keyboard, screen *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(keyboard.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})); err != nil {
		t.Fatal(err)
	}
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, screen
}

// Goal: on a terminal there is a live view, and after Ctrl-C the terminal is as
// it was.
func TestDemoScreen(t *testing.T) {
	keyboard, screen := openTerminal(t, 100, 30)
	defer keyboard.Close()
	cmd, _ := demoCommand(t)
	cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=1")
	cmd.Stdout, cmd.Stderr = screen, screen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	screen.Close()
	frames := make(chan string)
	go func() {
		defer close(frames)
		part := make([]byte, 4096)
		for {
			n, err := keyboard.Read(part)
			if err != nil { // the other side was closed
				return
			}
			frames <- string(part[:n])
		}
	}()
	var all strings.Builder
	limit, interrupted := time.After(time.Minute), false
	for open := true; open; {
		select {
		case text, ok := <-frames:
			open = ok
			all.WriteString(text)
		case <-limit:
			t.Fatalf("no end after a minute: %q", all.String())
		}
		if !interrupted && strings.Contains(all.String(), "▲ kill") {
			interrupted = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	var failed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &failed) || failed.ExitCode() != exit.Refused {
		t.Errorf("it ended with %v", err)
	}
	text := all.String()
	if !strings.HasPrefix(text, viewBegins) || strings.Count(text, viewBegins) != 1 || strings.Count(text, viewEnds) != 1 {
		t.Errorf("the terminal is not as it was: %q ... %q", text[:min(100, len(text))], text[max(0, len(text)-300):])
	}
	if strings.Contains(text, "\x1b[3") || strings.Contains(text, "\x1b[1;3") {
		t.Error("there is colour in spite of NO_COLOR")
	}
	if _, after, _ := strings.Cut(text, viewEnds); !strings.Contains(after, "interrupted") || strings.Contains(after, "\x1b") {
		t.Errorf("after the view came %q", after)
	}
}

// Goal: not even a demo that is killed outright leaves a process running.
func TestDemoKilled(t *testing.T) {
	d := startDemo(t)
	d.waitFor("asks the Wardens for the primary")
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, _ := d.ended(20 * time.Second); code != -1 {
		t.Errorf("exit code %d", code)
	}
	d.noneLives()
}

// Goal: a pipe that is closed in the middle ends everything in order.
func TestDemoClosedPipe(t *testing.T) {
	cmd, tmp := demoCommand(t, "--plain")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &demoRun{t: t, cmd: cmd, tmp: tmp, done: make(chan struct{})}
	part := make([]byte, 4096)
	for !strings.Contains(d.said(), "Warden W3 starts") {
		n, err := out.Read(part)
		if err != nil && !errors.Is(err, io.EOF) || n == 0 {
			t.Fatalf("read: %d bytes, %v", n, err)
		}
		d.lines = append(d.lines, string(part[:n]))
	}
	out.Close()
	ended := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer ended.Stop()
	var failed *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &failed) || failed.ExitCode() != exit.Refused {
		t.Errorf("it ended with %v: %s", err, errs.String())
	}
	d.leftNothing(6)
}
