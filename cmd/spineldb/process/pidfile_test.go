package process

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Goal: the file has this process's id and a newline, is readable for all, and
// goes at the end, also when the directory was changed meanwhile.
func TestPidfile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("sentinel.pid", []byte("4711 and more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := WritePidfile("sentinel.pid")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	path := filepath.Join(dir, "sentinel.pid")
	text, err := os.ReadFile(path)
	if err != nil || string(text) != fmt.Sprintln(os.Getpid()) {
		t.Errorf("the file has %q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	for range 2 {
		if err := p.Remove(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%v is left", left)
		}
	}
}

// Goal: the file of the next process is left alone.
func TestPidfileOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sentinel.pid")
	p, err := WritePidfile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.Remove(); err != nil {
		t.Error(err)
	}
	if text, _ := os.ReadFile(path); string(text) != "1\n" {
		t.Errorf("the file has %q", text)
	}
	if _, err := WritePidfile(filepath.Join(path, "below")); err == nil {
		t.Error("a pidfile was written below a file")
	}
}
