// Package postgreslab runs real PostgreSQL servers on this machine: for the
// demo, the benchmarks and the end-to-end tests.
//
// A Lab is an installation that was found, a directory, and one cluster made by
// initdb. Every Server is a copy of that cluster with a configuration of its
// own, a primary or a standby, and a child of this process in the foreground.
// Because all are copies of one cluster that was shut down, a standby needs no
// base backup. PostgreSQL refuses to run as root, so root becomes the user
// postgres for it.
//
// A Session is a client that never sends a cancel request.
package postgreslab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spineldb/warden/warden"
)

// Superuser is the role of every lab that may do everything. Nobody needs a
// password: the servers listen on this machine alone.
const Superuser = "postgres"

// Options say what a lab is like.
type Options struct {
	// Dir is where the directory of the lab is made, "" for the usual place of
	// temporary files. The account the servers run as must be able to enter it.
	Dir string
	// SQL is run once, by the superuser in the database postgres, before any
	// server is started: roles, grants, tables. Each statement ends with a
	// semicolon at the end of a line.
	SQL string
	// Prefix is put before the command of the server at an address, to run it
	// in a network namespace, say. The command then drops its rights itself,
	// by setpriv. Optional.
	Prefix func(host string) []string
}

// Lab makes servers. Safe for concurrent use.
type Lab struct {
	// Dir holds everything; Close removes it.
	Dir string
	// Bin holds the programs of PostgreSQL, Version is what postgres says.
	Bin, Version string

	options  Options
	account  *account // nil: as ourselves
	template string

	mu      sync.Mutex
	servers map[warden.NodeID]*Server
	quit    chan struct{} // closed by Close
	waiter  sync.WaitGroup
}

// ErrMissing says that there is no PostgreSQL on this machine.
var ErrMissing = errors.New("there is no PostgreSQL: install it (apt-get install postgresql), or put its programs into PATH")

// Find looks for the programs of PostgreSQL: in PATH, else the newest where
// Debian keeps them. It returns their directory.
func Find() (string, error) {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	newest, dir := -1, ""
	for _, path := range found {
		bin := filepath.Dir(path)
		if n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin))); err == nil && n > newest {
			newest, dir = n, bin
		}
	}
	if dir == "" {
		return "", ErrMissing
	}
	return dir, nil
}

// Open finds PostgreSQL and makes the first cluster, which takes some seconds.
// The error names what is missing and what to do.
func Open(ctx context.Context, o Options) (l *Lab, err error) {
	l = &Lab{options: o, servers: map[warden.NodeID]*Server{}, quit: make(chan struct{})}
	if l.Bin, err = Find(); err != nil {
		return nil, err
	}
	if l.account, err = findAccount(); err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, filepath.Join(l.Bin, "postgres"), "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("run postgres --version: %w", err)
	}
	l.Version = strings.TrimSpace(string(version))
	if l.Dir, err = os.MkdirTemp(o.Dir, "spineldb-postgres-"); err != nil {
		return nil, fmt.Errorf("make temporary directory: %w", err)
	}
	made := l // a failure returns nil in its place
	defer func() {
		if err != nil {
			err = errors.Join(err, made.Close())
		}
	}()
	if err := l.account.own(l.Dir); err != nil {
		return nil, err
	}
	l.template = filepath.Join(l.Dir, "template")
	if err := l.fill(ctx); err != nil {
		return nil, err
	}
	if err := l.takeOrders(); err != nil {
		return nil, err
	}
	return l, nil
}

// Close removes the directory. The servers must have been killed. It is called
// once.
func (l *Lab) Close() error {
	close(l.quit)
	l.waiter.Wait()
	if err := os.RemoveAll(l.Dir); err != nil {
		return fmt.Errorf("remove the directory of the servers: %w", err)
	}
	return nil
}

// Command is a program of the installation, as the account the servers run as
// and with an environment of its own. It ends with this process.
func (l *Lab) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bin, name), args...)
	l.prepare(cmd)
	return cmd
}

// Own gives a file or directory to the account the servers run as.
func (l *Lab) Own(path string) error { return l.account.own(path) }

// AsAccount is put before a command line to run it as that account.
func (l *Lab) AsAccount() []string { return l.account.dropping() }

func (l *Lab) prepare(cmd *exec.Cmd) {
	cmd.Dir = l.Dir
	cmd.Env = []string{"PATH=" + l.Bin + ":/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "HOME=" + l.Dir}
	cmd.SysProcAttr = l.account.attributes()
}

// fill makes the cluster that all servers are copies of.
func (l *Lab) fill(ctx context.Context) error {
	init := l.Command(ctx, "initdb", "-D", l.template, "-N", "-U", Superuser, "--auth=trust", "--wal-segsize=1", "--no-locale", "-E", "UTF8")
	if out, err := init.CombinedOutput(); err != nil {
		return fmt.Errorf("run initdb: %w: %s", err, bytes.TrimSpace(out))
	}
	single := l.Command(ctx, "postgres", "--single", "-j", "-F", "-D", l.template, "-c", "log_min_messages=warning", "-c", "wal_log_hints=on", "-c", "max_connections="+maxConnections, "postgres")
	// In this mode a statement ends with a semicolon and an empty line.
	single.Stdin = strings.NewReader(strings.ReplaceAll(l.options.SQL, ";\n", ";\n\n") + "\n")
	if out, err := single.CombinedOutput(); err != nil || bytes.Contains(out, []byte("ERROR")) {
		return fmt.Errorf("prepare the cluster: %w: %s", errors.Join(err, errors.New("a statement failed")), bytes.TrimSpace(out))
	}
	return nil
}

// maxConnections must not be lower on a standby than on its primary.
const maxConnections = "60"

// Grants is the SQL block of a page in Markdown: what docs/postgresql.md tells
// operators to run, so that tests run with the same rights.
func Grants(page []byte) (string, error) {
	_, rest, found := bytes.Cut(page, []byte("```sql\n"))
	block, _, closed := bytes.Cut(rest, []byte("```"))
	if !found || !closed {
		return "", errors.New("the page shows no SQL")
	}
	return string(block), nil
}

// clone copies the cluster.
func (l *Lab) clone(ctx context.Context, dir string) error {
	if out, err := exec.CommandContext(ctx, "cp", "-a", l.template, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the cluster: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// settings are those of every server: small, and quick to start.
func settings(host, port string, more []string) string {
	lines := []string{
		"listen_addresses = '" + host + "'", "port = " + port, "unix_socket_directories = ''",
		"fsync = off", "wal_log_hints = on", "hot_standby = on", "autovacuum = off",
		"shared_buffers = '16MB'", "max_connections = " + maxConnections, "max_wal_senders = 10", "max_replication_slots = 10",
		"wal_keep_size = '64MB'", "max_slot_wal_keep_size = '256MB'", "min_wal_size = '8MB'", "max_wal_size = '64MB'",
		"wal_retrieve_retry_interval = '100ms'", "log_line_prefix = '%m [%p] %q%a '", "log_min_messages = log",
	}
	return strings.Join(slices.Concat(lines, more), "\n") + "\n"
}
