package embeddednode

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/warden"
)

// childVariable makes the test binary be a node: address, upstream, state file.
const childVariable = "EMBEDDEDNODE_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		if err := beNode(strings.Split(text, " ")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func beNode(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	n, err := New(Options{Addr: args[0], ReplicaOf: warden.NodeID(args[1]), StateFile: args[2], SaveEvery: 20 * time.Millisecond})
	if err != nil {
		return err
	}
	fmt.Println(n.Addr())
	return n.Run(ctx)
}

// child is a node in a process of its own, so that it can be stopped and killed.
type child struct {
	t      *testing.T
	node   warden.NodeID
	cmd    *exec.Cmd
	client *redis.Client
	once   sync.Once
}

var _ adaptertest.Server = (*child)(nil)

func startChild(t *testing.T, addr string, upstream warden.NodeID, stateFile string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(self)}
	c.cmd.Env = append(os.Environ(), childVariable+"="+addr+" "+string(upstream)+" "+stateFile)
	c.cmd.Stderr = os.Stderr
	c.cmd.SysProcAttr = dieWithParent()
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatalf("start the node: %v", err)
	}
	t.Cleanup(c.Kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("read the node's address: %v", err)
	}
	c.node = warden.NodeID(strings.TrimSpace(line))
	c.client = redis.NewClient(&redis.Options{Addr: string(c.node), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, ReadTimeout: time.Minute, DisableIdentity: true})
	t.Cleanup(func() { c.client.Close() })
	return c
}

func (c *child) Node() warden.NodeID { return c.node }

func (c *child) Write(ctx context.Context, n int) error {
	for range n {
		next, err := c.client.Incr(ctx, "written").Result()
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := c.client.Set(ctx, "key:"+strconv.FormatInt(next, 10), "value", 0).Err(); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

func (c *child) Count(ctx context.Context) (int, error) {
	n, err := c.client.DBSize(ctx).Result()
	return int(n), err
}

func (c *child) Clients(ctx context.Context) (int, error) {
	text, err := c.client.ClientList(ctx).Result()
	return strings.Count(text, "\n") - int(c.client.PoolStats().TotalConns), err
}

func (c *child) FullCopies(ctx context.Context) (int, error) {
	text, err := c.client.Info(ctx, "stats").Result()
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, "sync_full:")
	digits, _, _ := strings.Cut(rest, "\r")
	return strconv.Atoi(digits)
}

func (c *child) Kill() {
	c.once.Do(func() {
		if err := c.cmd.Process.Kill(); err != nil {
			c.t.Errorf("kill the node: %v", err)
		}
		_ = c.cmd.Wait() // reports that it was killed
	})
}

func (c *child) Pause()  { c.signal(syscall.SIGSTOP) }
func (c *child) Resume() { c.signal(syscall.SIGCONT) }

func (c *child) signal(sig os.Signal) {
	if err := c.cmd.Process.Signal(sig); err != nil {
		c.t.Fatalf("signal the node: %v", err)
	}
}

// Goal: an embedded node is, for a monitor, a node like any other.
func TestConformance(t *testing.T) {
	adaptertest.Run(t, adaptertest.Harness{
		Adapter: func(*testing.T) warden.Adapter { return spineldb.New(spineldb.Options{}) },
		Start: func(t *testing.T, upstream warden.NodeID) adaptertest.Server {
			return startChild(t, "127.0.0.1:0", upstream, "")
		},
		CanPause: true,
		Frames:   []string{"adapters/spineldb.(*", "go-redis/v9.(*PubSub)"},
	})
}
