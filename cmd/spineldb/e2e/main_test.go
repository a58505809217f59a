package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// The programs under test, found and built once.
var (
	spineldbBinary string
	redisBinary    string
)

// without reports whether the machine was said to lack something that cannot
// be installed: "netns" or "ipv6". scripts/test finds that out and says so.
func without(what string) bool {
	return slices.Contains(strings.Fields(os.Getenv("WARDEN_E2E_WITHOUT")), what)
}

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// TestMain builds the binary with the race detector.
func TestMain(m *testing.M) {
	redis.SetLogger(quiet{}) // it reports every refused connection, and there are many
	code, err := prepareAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepareAndRun(m *testing.M) (int, error) {
	var err error
	if redisBinary, err = exec.LookPath("redis-server"); err != nil {
		return 0, fmt.Errorf("find redis-server (scripts/test installs it): %w", err)
	}
	dir, err := os.MkdirTemp("", "warden-e2e-")
	if err != nil {
		return 0, fmt.Errorf("make a directory for the binary: %w", err)
	}
	defer os.RemoveAll(dir)
	spineldbBinary = filepath.Join(dir, "spineldb")
	build := exec.Command("go", "build", "-race", "-o", spineldbBinary, "..")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return 0, fmt.Errorf("build spineldb with -race (it needs a C compiler): %w", err)
	}
	nextPort.Store(uint32(os.Getpid()) * 97)
	code := m.Run()
	return code, closePostgres()
}
