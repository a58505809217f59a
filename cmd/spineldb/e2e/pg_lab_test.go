package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

// postgresLab is shared by all tests: one initdb, and a directory for each server.
var postgresLab struct {
	once sync.Once
	lab  *postgreslab.Lab
	err  error
	made atomic.Int64 // servers
	// places gives the network namespace of an address, "" for none.
	places sync.Map
}

// openPostgres makes the first cluster, with the rights that docs/postgresql.md
// tells operators to give.
func openPostgres() (*postgreslab.Lab, error) {
	p := &postgresLab
	p.once.Do(func() {
		page, err := os.ReadFile("../../../docs/postgresql.md")
		if err != nil {
			p.err = err
			return
		}
		grants, err := postgreslab.Grants(page)
		if err != nil {
			p.err = err
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		p.lab, p.err = postgreslab.Open(ctx, postgreslab.Options{SQL: grants + postgreslab.Table, Prefix: postgresPrefix})
	})
	return p.lab, p.err
}

// postgresPrefix puts a server into its network namespace.
func postgresPrefix(host string) []string {
	if ns, ok := postgresLab.places.Load(host); ok {
		return []string{"ip", "netns", "exec", ns.(string)}
	}
	return nil
}

// closePostgres removes what openPostgres made; TestMain calls it.
func closePostgres() error {
	if postgresLab.lab == nil {
		return nil
	}
	return postgresLab.lab.Close()
}

// pgNode is one PostgreSQL server of a lab.
type pgNode struct {
	*postgreslab.Server
	lab  *pgLab
	name string
}

// pgLab is a lab whose servers are PostgreSQL's; servers[0] is the first primary.
type pgLab struct {
	*lab
	servers []*pgNode
	// group are further lines of the group.
	group string
}

// newPgLab makes an empty lab.
func newPgLab(t *testing.T, group ...string) *pgLab {
	t.Helper()
	pl := &pgLab{group: strings.Join(group, "\n")}
	// Before the lab's own, so that a failed test is explained while all live.
	t.Cleanup(func() {
		for _, n := range pl.servers {
			if err := n.Kill(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("--- the end of %s's log:\n%s", n.name, n.Tail(40))
			}
			os.RemoveAll(n.Dir)
		}
	})
	pl.lab = newLab(t, "127.0.0.1")
	pl.settings.groups = pl.block
	return pl
}

// startPgLab makes a lab with a primary, two standbys and three Wardens that
// have agreed on them. group are further lines of the group.
func startPgLab(t *testing.T, group ...string) *pgLab {
	t.Helper()
	pl := newPgLab(t, group...)
	pl.fill()
	return pl
}

// fill starts three servers and three Wardens and waits for the agreement.
func (pl *pgLab) fill() {
	pl.t.Helper()
	primary := pl.addServer(pl.host, nil)
	pl.addServer(pl.host, primary)
	pl.addServer(pl.host, primary)
	for range 3 {
		pl.prepareWarden()
	}
	for _, w := range pl.wardens {
		w.start()
	}
	pl.awaitWhole(primary, pl.servers...)
}

// addServer starts a primary, or a standby of upstream, and waits until it answers.
func (pl *pgLab) addServer(host string, upstream *pgNode) *pgNode {
	pl.t.Helper()
	l, err := openPostgres()
	if err != nil {
		pl.t.Fatal(err)
	}
	name := fmt.Sprintf("postgres-%d", len(pl.servers)+1)
	dir := fmt.Sprintf("%s-%d", name, postgresLab.made.Add(1))
	from := warden.NodeID("")
	if upstream != nil {
		from = upstream.Addr
	}
	s, err := l.Server(pl.ctx(patience), dir, warden.MakeNode(host, freePort(pl.t, pl.host)), from, "warden")
	if err != nil {
		pl.t.Fatal(err)
	}
	n := &pgNode{Server: s, lab: pl, name: name}
	pl.servers = append(pl.servers, n)
	n.start()
	return n
}

// start starts a server, for the first time or again, and waits until it answers.
func (n *pgNode) start() {
	n.lab.t.Helper()
	if err := n.Start(); err != nil {
		n.lab.t.Fatal(err)
	}
	await(n.lab.t, n.name+" answers", func() bool { _, err := n.try("SELECT 1"); return err == nil })
}

// block is the group in warden.toml.
func (pl *pgLab) block() string {
	primary := pl.servers[0]
	var others []string
	for _, n := range pl.servers[1:] {
		others = append(others, strconv.Quote(string(n.Addr)))
	}
	return fmt.Sprintf("[[masters]]\nname = %q\nadapter = \"postgres\"\nip = %q\nport = %s\nnodes = [%s]\nquorum = 2\nwardens = 3\n"+
		"auth_user = \"warden\"\nreplication_user = \"warden\"\nsslmode = \"disable\"\ndown_after = \"%s\"\nfailover_timeout = \"20s\"\nhello_interval = \"300ms\"\n%s\n",
		groupName, primary.Addr.Host(), primary.Addr.Port(), strings.Join(others, ", "), pl.settings.down, pl.group)
}

// try asks a server as the superuser, in a session of its own.
func (n *pgNode) try(sql string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s, err := postgreslab.ConnectBy(ctx, n.lab.dial, n.Addr, postgreslab.Superuser, "test")
	if err != nil {
		return "", err
	}
	defer s.Close()
	rows, err := s.Query(ctx, sql)
	return strings.Join(rows, ","), err
}

// must is try for what cannot fail.
func (n *pgNode) must(sql string) string {
	n.lab.t.Helper()
	out, err := n.try(sql)
	if err != nil {
		n.lab.t.Fatalf("%s on %s: %v", sql, n.name, err)
	}
	return out
}

func (n *pgNode) isPrimary() bool {
	out, err := n.try("SELECT pg_is_in_recovery()")
	return err == nil && out == "f"
}

// follows reports whether the server streams from other.
func (n *pgNode) follows(other *pgNode) bool {
	out, err := n.try("SELECT status || ' ' || sender_host || ':' || sender_port FROM pg_stat_wal_receiver")
	return err == nil && out == "streaming "+string(other.Addr)
}

// kill ends all processes of the server.
func (n *pgNode) kill() {
	n.lab.t.Helper()
	if err := n.Kill(); err != nil {
		n.lab.t.Fatal(err)
	}
}

// server finds the one at an address.
func (pl *pgLab) server(addr warden.NodeID) *pgNode {
	i := slices.IndexFunc(pl.servers, func(n *pgNode) bool { return n.Addr == addr })
	if i < 0 {
		return nil
	}
	return pl.servers[i]
}

// whole reports whether all Wardens agree on the primary and see each of the
// given servers in its place.
func (pl *pgLab) whole(primary *pgNode, members ...*pgNode) bool {
	if !agreed(pl.wardens, nil) {
		return false
	}
	for _, w := range pl.wardens {
		v, err := w.view()
		if err != nil || v.Primary != primary.Addr {
			return false
		}
		for _, n := range members {
			i := slices.IndexFunc(v.Nodes, func(x warden.NodeView) bool { return x.Node == n.Addr })
			if i < 0 {
				return false
			}
			o := v.Nodes[i].Observation
			right := o.Role == warden.RoleReplica && o.LinkUp && !o.NoSlot && o.Upstream == primary.Addr
			if n == primary {
				right = o.Role == warden.RolePrimary && !o.ReadOnly
			}
			if v.Nodes[i].Down || o.Health != warden.HealthGood || !right {
				return false
			}
		}
	}
	return true
}

// awaitWhole waits until the group is whole with that primary.
func (pl *pgLab) awaitWhole(primary *pgNode, members ...*pgNode) {
	pl.t.Helper()
	await(pl.t, fmt.Sprintf("all is well with %s (%s) as primary", primary.name, primary.Addr), func() bool { return pl.whole(primary, members...) })
}

// awaitOther is the server that all given Wardens agree on as the primary,
// once it is another one than old and takes writes.
func (pl *pgLab) awaitOther(old *pgNode, wardens ...*ward) *pgNode {
	pl.t.Helper()
	var found *pgNode
	await(pl.t, "the Wardens agree on another primary than "+old.name, func() bool {
		if !agreed(wardens, nil) {
			return false
		}
		v, err := wardens[0].view()
		if err != nil || v.Primary == old.Addr {
			return false
		}
		found = pl.server(v.Primary)
		return found != nil && found.isPrimary()
	})
	return found
}

// except are all servers but the given ones.
func (pl *pgLab) except(out ...*pgNode) []*pgNode {
	return slices.DeleteFunc(slices.Clone(pl.servers), func(n *pgNode) bool { return slices.Contains(out, n) })
}

// where asks the given Wardens in turn for the primary, as clients do.
func where(wardens ...*ward) func(context.Context) (warden.NodeID, error) {
	next := 0
	return func(ctx context.Context) (warden.NodeID, error) {
		w := wardens[next%len(wardens)]
		next++
		return w.primaryOf(ctx)
	}
}

// primaryOf is what the Warden answers a client that asks for the primary.
func (w *ward) primaryOf(ctx context.Context) (warden.NodeID, error) {
	parts, err := w.client.Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", groupName).StringSlice()
	if err != nil {
		return "", err
	}
	if len(parts) != 2 {
		return "", errors.New("no primary is known")
	}
	return warden.ParseNode(parts[0] + ":" + parts[1])
}

// pgWriter is a writer and the test it belongs to.
type pgWriter struct {
	*postgreslab.Writer
	lab *pgLab
}

// writes starts a writer that asks the given Wardens.
func (pl *pgLab) writes(patience time.Duration, wardens ...*ward) *pgWriter {
	pl.t.Helper()
	w := &pgWriter{lab: pl, Writer: postgreslab.Write(postgreslab.WriterOptions{
		Where: where(wardens...), Pace: time.Millisecond, Patience: patience, Role: postgreslab.Client, Dial: pl.dial,
	})}
	pl.t.Cleanup(func() { w.Stop() })
	await(pl.t, "the writer has written", func() bool { return len(w.Acks()) > 10 })
	return w
}

// awaitElsewhere waits for the confirmation of a write by another server than
// old, and returns how long after since it came.
func (w *pgWriter) awaitElsewhere(old *pgNode, since time.Time) time.Duration {
	w.lab.t.Helper()
	var took time.Duration
	await(w.lab.t, "the client writes again", func() bool {
		acks := w.Acks()
		for i := len(acks) - 1; i >= 0 && acks[i].Sent.After(since); i-- {
			if acks[i].Node != old.Addr {
				took = acks[i].At.Sub(since)
			}
		}
		return took != 0
	})
	return took
}

// goesOn waits for some more writes.
func (w *pgWriter) goesOn() {
	w.lab.t.Helper()
	before := len(w.Acks())
	await(w.lab.t, "the client writes on", func() bool { return len(w.Acks()) > before+20 })
}

// gap is the longest time between two confirmations after since.
func (w *pgWriter) gap(since time.Time) time.Duration {
	var longest time.Duration
	acks := w.Acks()
	for i := 1; i < len(acks); i++ {
		if acks[i].At.After(since) {
			longest = max(longest, acks[i].At.Sub(acks[i-1].At))
		}
	}
	return longest
}

// lostOn are the confirmed writes that a server does not have.
func (pl *pgLab) lostOn(n *pgNode, acks []postgreslab.Ack) []int {
	pl.t.Helper()
	gone, err := postgreslab.Lost(pl.ctx(patience), pl.dial, acks, n.Addr)
	if err != nil {
		pl.t.Fatal(err)
	}
	return gone
}

// keepsAll stops the writer and fails the test if a confirmed write is missing.
func (w *pgWriter) keepsAll(n *pgNode) {
	w.lab.t.Helper()
	acks := w.Stop()
	if gone := w.lab.lostOn(n, acks); len(gone) > 0 {
		w.lab.t.Errorf("%d of %d confirmed writes are lost on %s: %v", len(gone), len(acks), n.name, gone[:min(len(gone), 20)])
	}
	w.lab.t.Logf("%d confirmed writes, errors %v", len(acks), w.Errors())
}

// rejoining are the lines of a group whose old primaries are brought back by
// the example script.
func rejoining(t *testing.T) string {
	t.Helper()
	l, err := openPostgres()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.Abs("../../../docs/examples/rejoin.sh")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, w := range l.Rejoin(path) {
		words = append(words, strconv.Quote(w))
	}
	return "rejoin_command = [" + strings.Join(words, ", ") + "]\nrejoin_timeout = \"15s\""
}
