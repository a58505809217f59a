package embeddednode

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

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

// startChild starts a node in a process of its own, so that it can be stopped
// and killed.
func startChild(t *testing.T, addr string, upstream warden.NodeID, stateFile string) *adaptertest.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+addr+" "+string(upstream)+" "+stateFile)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := adaptertest.Launch(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("read the node's address: %v", err)
	}
	p.Serves(warden.NodeID(strings.TrimSpace(line)))
	return p
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
