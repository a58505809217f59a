package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Goal: however the program ends, none of its processes is left, and if it can
// its directory is gone, too. What stands still is no exception.
func TestNothingIsLeft(t *testing.T) {
	without := strings.Fields(os.Getenv("WARDEN_E2E_WITHOUT"))
	if slices.Contains(without, "netns") || slices.Contains(without, "tun") {
		t.Log("nothing was started: this machine may not make namespaces (WARDEN_E2E_WITHOUT)")
		return
	}
	tools := t.TempDir()
	binary := filepath.Join(tools, "chaos")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	// In the place of Wardens there are programs that never agree, and one stops
	// itself, again and again: who stands still hears no other signal.
	idle := filepath.Join(tools, "idle")
	script := "#!/bin/sh\ncase $2 in *warden-1/*) while :; do kill -STOP $$; done ;; esac\nexec tail -f \"$2\"\n"
	if err := os.WriteFile(idle, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		dir := t.TempDir()
		cmd := exec.Command(binary, "-spineldb", idle, "-seed", "1")
		cmd.Env = append(os.Environ(), "TMPDIR="+dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Three servers and three in the place of Wardens.
		still := func(p string) bool { return letter(p) == "T" }
		if err := poll(patience, func() bool { all := within(t, dir); return len(all) >= 6 && slices.ContainsFunc(all, still) }); err != nil {
			t.Errorf("not all was started, or nothing stands still: %v, %v", within(t, dir), err)
		}
		if err := cmd.Process.Signal(how); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was interrupted
		if err := poll(10*time.Second, func() bool { return len(within(t, dir)) == 0 }); err != nil {
			t.Errorf("after %s processes %v are left", how, within(t, dir))
		}
		left, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || how == syscall.SIGTERM && len(left) > 0 {
			t.Errorf("after %s files are left: %v, %v", how, left, err)
		}
	}
}

// within are the processes that were started with a path in the directory, or
// work in it.
func within(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range all {
		line, _ := os.ReadFile(p + "/cmdline") // it may have ended
		cwd, _ := os.Readlink(p + "/cwd")
		if strings.Contains(string(line), dir) || strings.HasPrefix(cwd, dir) {
			out = append(out, p)
		}
	}
	return out
}

func letter(proc string) string {
	text, err := os.ReadFile(proc + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return rest[:1]
}
