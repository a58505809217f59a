package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sys/unix"

	"github.com/spineldb/warden/cmd/spineldb/chaos/network"
	"github.com/spineldb/warden/warden"
)

const (
	groupName  = "chaos"
	wardenPort = 26379
	// downAfter is no shorter, so that a slow machine makes no silence by itself.
	downAfter = time.Second
)

// ward is one Warden with a directory that survives restarts.
type ward struct {
	process
	name   string
	host   *network.Host
	dir    string
	binary string
	client *redis.Client

	mu   sync.Mutex
	next conditions
	// id is the last that the Warden said.
	id warden.WardenID
	// gone are identities that it had on data that is lost.
	gone    []warden.WardenID
	mounted bool
}

// conditions are those that a Warden is started under.
type conditions struct {
	delay  time.Duration // holds back every sync
	offset time.Duration // is added to the monotonic clock, by a time namespace
	crash  string        // the stage of leading in which it dies
}

// crashCode is how a Warden ends then.
const crashCode = 99

// conditions are those of the next starts.
func (w *ward) conditions(c conditions) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = c
}

// newWard writes the configuration and starts nothing. block is that of the
// group; join are the hosts of all Wardens.
func newWard(h *network.Host, dir, binary, block string, join []string) (*ward, error) {
	w := &ward{name: h.Name, host: h, dir: dir, binary: binary}
	w.log = filepath.Join(dir, "log")
	text := fmt.Sprintf("host = %q\nport = %d\ndata_dir = \"data\"\njoin = [%s]\n\n%s", h.Addr, wardenPort, quoted(join), block)
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "warden.toml"), []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	// Asked from its own host, so that no fault of the network hides what it thinks.
	w.client = redis.NewClient(&redis.Options{Addr: w.addr(), Dialer: h.Dial, Protocol: 2, MaxRetries: -1, DialerRetries: 1, PoolSize: 3,
		DialTimeout: time.Second, ReadTimeout: 20 * time.Second, ContextTimeoutEnabled: true, DisableIdentity: true})
	return w, nil
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = strconv.Quote(w)
	}
	return strings.Join(out, ", ")
}

func (w *ward) addr() string { return fmt.Sprintf("%s:%d", w.host.Addr, wardenPort) }

// Start starts the Warden, for the first time or again, and does not wait.
func (w *ward) Start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	argv := w.host.Prefix()
	if w.next.offset != 0 {
		argv = append(argv, "unshare", "--time", "--monotonic", strconv.FormatInt(int64(w.next.offset/time.Second), 10), "--")
	}
	var env []string
	if w.next.delay != 0 {
		env = append(env, "WARDEN_SYNC_DELAY="+w.next.delay.String())
	}
	if w.next.crash != "" {
		env = append(env, "WARDEN_CRASH_POINT="+w.next.crash)
	}
	return w.start(env, append(argv, w.binary, "--warden", filepath.Join(w.dir, "warden.toml"))...)
}

func (w *ward) data() string { return filepath.Join(w.dir, "data") }

// Wipe takes the data of a Warden that does not run and says what it took.
func (w *ward) Wipe() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	files, err := filepath.Glob(filepath.Join(w.data(), "*"))
	if err != nil || len(files) == 0 {
		return ""
	}
	for _, f := range files {
		if err := os.RemoveAll(f); err != nil {
			return ""
		}
	}
	if w.id != "" {
		w.gone = append(w.gone, w.id)
		w.id = ""
	}
	return fmt.Sprintf("%d files of its data removed", len(files))
}

// smallDisk puts an empty file system over the data of a Warden that does not run.
func (w *ward) smallDisk() error {
	if err := unix.Mount("chaos", w.data(), "tmpfs", 0, "size=256k,mode=0700"); err != nil {
		return fmt.Errorf("mount small disk: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mounted = true
	if w.id != "" {
		w.gone = append(w.gone, w.id)
		w.id = ""
	}
	return nil
}

// fill writes to the disk until nothing more fits.
func (w *ward) fill() error {
	f, err := os.Create(filepath.Join(w.data(), "filler"))
	if err != nil {
		return fmt.Errorf("fill disk: %w", err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range 1 << 12 {
		if _, err := f.Write(block); errors.Is(err, unix.ENOSPC) {
			return nil
		} else if err != nil {
			return fmt.Errorf("fill disk: %w", err)
		}
	}
	return errors.New("fill disk: it does not get full")
}

// unfill makes room again.
func (w *ward) unfill() error {
	if err := os.Remove(filepath.Join(w.data(), "filler")); err != nil {
		return fmt.Errorf("make room on disk: %w", err)
	}
	return nil
}

// close ends the Warden for good.
func (w *ward) close() {
	w.Kill()
	_ = w.client.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mounted {
		_ = unix.Unmount(w.data(), unix.MNT_DETACH) // the end of the namespace does it, too
	}
}

// view is what the Warden sees of the group.
func (w *ward) view(ctx context.Context) (warden.GroupView, error) {
	var s struct {
		Self   warden.SelfView    `json:"self"`
		Groups []warden.GroupView `json:"groups"`
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if err := w.ask(ctx, &s, "WARDEN", "STATUS"); err != nil {
		return warden.GroupView{}, err
	}
	if len(s.Groups) != 1 {
		return warden.GroupView{}, fmt.Errorf("%s watches %d groups", w.name, len(s.Groups))
	}
	w.mu.Lock()
	w.id = s.Self.ID
	w.mu.Unlock()
	return s.Groups[0], nil
}

// order gives an operator's order and returns how it ended.
func (w *ward) order(ctx context.Context, args ...any) (warden.Answer, error) {
	var a warden.Answer
	return a, w.ask(ctx, &a, append([]any{"WARDEN"}, args...)...)
}

// ask decodes the JSON reply to a command.
func (w *ward) ask(ctx context.Context, out any, args ...any) error {
	text, err := w.client.Do(ctx, args...).Text()
	if err != nil {
		return fmt.Errorf("%v on %s: %w", args, w.name, err)
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", w.name, err)
	}
	return nil
}

// known is its identity, and those that were lost with its data.
func (w *ward) known() (id warden.WardenID, gone []warden.WardenID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.id, append([]warden.WardenID(nil), w.gone...)
}
