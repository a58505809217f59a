//go:build unix

package adaptertest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/warden"
)

// Process is a Server that speaks the Redis protocol and is a child of the
// test, so that it can be stopped and killed.
type Process struct {
	// Client is the harness's own. It tries nothing twice.
	Client *redis.Client

	t    *testing.T
	node warden.NodeID
	cmd  *exec.Cmd
	once sync.Once
}

var _ Server = (*Process)(nil)

// Launch starts a program that will be a server. It ends with the test, also
// when the test panics. Tell with Serves where it listens.
func Launch(t *testing.T, cmd *exec.Cmd) *Process {
	t.Helper()
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	p := &Process{t: t, cmd: cmd}
	t.Cleanup(p.Kill)
	return p
}

// Serves says where the process listens, or will.
func (p *Process) Serves(node warden.NodeID) {
	p.node = node
	p.Client = redis.NewClient(&redis.Options{
		Addr: string(node), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, ReadTimeout: time.Minute, DisableIdentity: true,
	})
	p.t.Cleanup(func() { _ = p.Client.Close() })
}

// Node is where the process listens.
func (p *Process) Node() warden.NodeID { return p.node }

// Write adds n keys.
func (p *Process) Write(ctx context.Context, n int) error {
	for range n {
		next, err := p.Client.Incr(ctx, "written").Result()
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := p.Client.Set(ctx, "key:"+strconv.FormatInt(next, 10), "value", 0).Err(); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// Count is the number of keys.
func (p *Process) Count(ctx context.Context) (int, error) {
	n, err := p.Client.DBSize(ctx).Result()
	return int(n), err
}

// Clients counts the connections that are not those of Client's own pool.
func (p *Process) Clients(ctx context.Context) (int, error) {
	text, err := p.Client.ClientList(ctx).Result()
	return strings.Count(text, "\n") - int(p.Client.PoolStats().TotalConns), err
}

// FullCopies is what INFO says of full copies.
func (p *Process) FullCopies(ctx context.Context) (int, error) {
	text, err := p.Client.Info(ctx, "stats").Result()
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, "\nsync_full:")
	digits, _, _ := strings.Cut(rest, "\r")
	return strconv.Atoi(digits)
}

// Kill ends the process. It returns when it has ended; again it does nothing.
func (p *Process) Kill() {
	p.once.Do(func() {
		if err := p.cmd.Process.Kill(); err != nil {
			p.t.Errorf("kill %s: %v", p.cmd.Path, err)
		}
		_ = p.cmd.Wait() // reports that it was killed
	})
}

// Pause stops the process, and waits until its threads stand still where
// the system tells that (Linux): on another core they run on for a moment.
func (p *Process) Pause() {
	p.signal(syscall.SIGSTOP)
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
	for _, path := range tasks {
		Await(p.t, "the process stands still", func() bool {
			text, err := os.ReadFile(path)
			_, state, _ := strings.Cut(string(text), ") ")
			return err != nil || strings.HasPrefix(state, "T")
		})
	}
}

// Resume lets it go on.
func (p *Process) Resume() { p.signal(syscall.SIGCONT) }

func (p *Process) signal(sig os.Signal) {
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %s: %v", p.cmd.Path, err)
	}
}
