package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spineldb/warden/cmd/spineldb/chaos/history"
	"github.com/spineldb/warden/cmd/spineldb/chaos/network"
	"github.com/spineldb/warden/cmd/spineldb/duration"
	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/warden"
)

const (
	postgresPort = 5432
	// keys is how many registers there are, and how many sets.
	keys = 12
	// postgresClients do one operation after the other.
	postgresClients = 4
	operationPace   = 15 * time.Millisecond
	// timeline is the SQL for the line of data that is written to.
	timeline = "left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
)

// tables are what the clients use. Registers and sets are read by writing to
// them: a plain read on an old primary may be stale, which nobody promises
// otherwise, but this one has to be acknowledged like any commit.
var tables = fmt.Sprintf("CREATE TABLE registers (k text PRIMARY KEY, v bigint NOT NULL, reads bigint NOT NULL);\n"+
	"CREATE TABLE sets (k text PRIMARY KEY, reads bigint NOT NULL);\n"+
	"INSERT INTO registers SELECT 'register-' || n, 0, 0 FROM generate_series(1, %[1]d) n;\n"+
	"INSERT INTO sets SELECT 'set-' || n, 0 FROM generate_series(1, %[1]d) n;\n"+
	"CREATE TABLE elements (k text NOT NULL, e bigint NOT NULL);\nCREATE INDEX ON elements (k);\n"+
	"GRANT ALL ON registers, sets, elements TO PUBLIC;\n", keys)

// postgresEngine is a group of PostgreSQL servers.
type postgresEngine struct {
	options options
	lab     *postgreslab.Lab
	rejoin  string
	hosts   sync.Map // from address to *network.Host
	made    int      // groups so far
}

// newPostgresEngine makes the cluster that all servers are copies of.
func newPostgresEngine(ctx context.Context, o options, dir string) (*postgresEngine, error) {
	page, err := os.ReadFile(filepath.Join(o.repository, "docs/postgresql.md"))
	if err != nil {
		return nil, fmt.Errorf("read the rights that Wardens need: %w", err)
	}
	grants, err := postgreslab.Grants(page)
	if err != nil {
		return nil, err
	}
	e := &postgresEngine{options: o}
	if e.rejoin, err = filepath.Abs(filepath.Join(o.repository, "docs/examples/rejoin.sh")); err != nil {
		return nil, fmt.Errorf("find the rejoin script: %w", err)
	}
	prefix := func(host string) []string {
		h, _ := e.hosts.Load(host)
		return h.(*network.Host).Prefix()
	}
	e.lab, err = postgreslab.Open(ctx, postgreslab.Options{Dir: dir, SQL: grants + postgreslab.Table + tables, Prefix: prefix})
	return e, err
}

func (e *postgresEngine) close() error { return e.lab.Close() }

func (e *postgresEngine) quorum() bool { return e.options.durability == "quorum" }

func (e *postgresEngine) open(ctx context.Context, dir string, hosts []*network.Host) ([]server, error) {
	e.made++
	var out []server
	for i, h := range hosts {
		e.hosts.Store(h.Addr.String(), h)
		upstream := warden.NodeID("")
		if i > 0 {
			upstream = out[0].Addr()
		}
		// Sessions whose commit waits are left behind by clients that lose
		// their patience, so there has to be room for many.
		s, err := e.lab.Server(ctx, fmt.Sprintf("%s-%d", h.Name, e.made), warden.MakeNode(h.Addr.String(), postgresPort), upstream, "warden", "max_connections = 500")
		if err != nil {
			return nil, err
		}
		p := &postgresServer{Server: s, host: h, kept: filepath.Join(dir, h.Name+".log")}
		if err := p.Start(); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

func (e *postgresEngine) block(servers []server) string {
	var nodes []string
	for _, s := range servers {
		nodes = append(nodes, string(s.Addr()))
	}
	text := fmt.Sprintf("[[masters]]\nname = %q\nadapter = \"postgres\"\nip = %q\nport = %d\nnodes = [%s]\nquorum = 2\nwardens = 3\n"+
		"auth_user = \"warden\"\nreplication_user = \"warden\"\nsslmode = \"disable\"\ndown_after = %q\nfailover_timeout = \"10s\"\nhello_interval = \"300ms\"\n"+
		"rejoin_command = [%s]\ncommand_timeout = \"20s\"\n",
		groupName, servers[0].Addr().Host(), postgresPort, quoted(nodes), downAfter, quoted(e.lab.Rejoin(e.rejoin)))
	if e.quorum() {
		text += "durability = \"quorum\"\nmember_timeout = \"2s\"\n"
	}
	return text
}

// whole: two standbys count, and the set is not changing.
func (e *postgresEngine) whole(v warden.GroupView) bool {
	return !e.quorum() || len(v.Topology.Sync) == 1 && len(v.Topology.Sync[0].Members) == 2
}

// mend runs the rejoin script, as an operator does.
func (e *postgresEngine) mend(ctx context.Context, s, primary server) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	host, _ := e.hosts.Load(primary.Addr().Host())
	argv := append(host.(*network.Host).Prefix(), e.lab.Rejoin(e.rejoin)...)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(plainEnvironment(), "WARDEN_NODE="+string(s.Addr()), "WARDEN_NEW_PRIMARY="+string(primary.Addr()))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("the rejoin script was run by hand, and failed: %v: %s", err, bytes.TrimSpace(out))
	}
	return "the rejoin script was run by hand"
}

// postgresServer is one server.
type postgresServer struct {
	*postgreslab.Server
	host *network.Host
	kept string // where its log goes after the round
}

func (s *postgresServer) Name() string        { return s.host.Name }
func (s *postgresServer) Addr() warden.NodeID { return s.Server.Addr }
func (s *postgresServer) Running() bool       { return s.Pid() != 0 }

// Wipe does nothing: no promise covers a node that loses its data.
func (s *postgresServer) Wipe() string { return "" }

// Start starts the server unless somebody has, or a rejoin script is at its data
// or has left it half-way: then it is the script's turn.
func (s *postgresServer) Start() error {
	if s.Running() {
		return nil
	}
	if _, err := os.Stat(s.Dir + ".rejoin.broken"); err == nil {
		return errors.New("a rejoin was left half-way, and has to be ended first")
	}
	lock, err := os.OpenFile(s.Dir+".rejoin.lock", os.O_RDWR, 0)
	if err == nil {
		defer lock.Close()
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a rejoin is under way: %w", err)
	}
	return s.Server.Start()
}

func (s *postgresServer) Kill() string {
	pid := s.Pid()
	if pid == 0 || s.Server.Kill() != nil {
		return ""
	}
	if now := state(pid); now != "" && now != "Z" && now != "X" {
		return ""
	}
	return fmt.Sprintf("process %d and its children ended", pid)
}

func (s *postgresServer) Pause() string {
	s.Server.Pause()
	return awaitStopped(s.Pid())
}

// remove takes the data away, and keeps the log with the round.
func (s *postgresServer) remove() error {
	return errors.Join(os.Rename(s.Log, s.kept), s.Remove())
}

// postgresClient does operations, or as a prober writes to one server.
type postgresClient struct {
	number int
	name   string
	host   *network.Host
	where  func(ctx context.Context) (string, error)
	names  map[string]string // of servers, by address
	record *record
	r      *rand.Rand
	made   *[keys]atomic.Int64 // elements, by set

	session *postgreslab.Session
}

func (e *postgresEngine) clients(ctx context.Context, r *round) {
	names := map[string]string{}
	for _, s := range r.servers {
		names[string(s.Addr())] = s.Name()
	}
	var made [keys]atomic.Int64
	var all sync.WaitGroup
	for i := range postgresClients {
		c := &postgresClient{number: i + 1, name: fmt.Sprintf("client-%d", i+1), host: r.hosts[actorClient], where: r.asks(i), names: names, record: r.record,
			r: rand.New(rand.NewPCG(r.seed, uint64(i))), made: &made}
		all.Go(func() { c.run(ctx, operationPace, c.operate) })
	}
	for i, s := range r.servers {
		c := &postgresClient{number: 100 + i, name: "prober", host: r.hosts[s.Name()], names: names, record: r.record,
			where: func(context.Context) (string, error) { return string(s.Addr()), nil }}
		all.Go(func() { c.run(ctx, probePace, c.probe) })
	}
	all.Wait()
}

// run does something again and again until the context ends. What was begun is
// finished.
func (c *postgresClient) run(ctx context.Context, pace time.Duration, something func(n int) (good bool)) {
	beat := time.NewTicker(pace)
	defer beat.Stop()
	defer func() { c.session.Close() }()
	for n := 1; ; n++ {
		select {
		case <-beat.C:
		case <-ctx.Done():
			return
		}
		if c.session == nil {
			c.connect(context.WithoutCancel(ctx))
		}
		if c.session != nil && !something(n) {
			c.session.Close()
			c.session = nil
			// What waits for standbys is left behind in the server and keeps its
			// place there, so the next attempt takes its time.
			_ = duration.Pause(ctx, clientPatience/2) // the end is seen above
		}
	}
}

func (c *postgresClient) connect(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	addr, err := c.where(ctx)
	if err != nil || c.names[addr] == "" {
		return
	}
	if s, err := postgreslab.ConnectBy(ctx, c.host.Dial, warden.NodeID(addr), postgreslab.Client, c.name); err == nil {
		c.session = s
	}
}

// ask runs one statement whose one row is a value and the timeline.
func (c *postgresClient) ask(sql string) (value, line string, outcome history.Outcome) {
	rows, err := c.session.Within(clientPatience, sql)
	switch {
	case err == nil && len(rows) == 1:
		value, line, _ = strings.Cut(rows[0], "|")
		return value, line, history.Acknowledged
	case postgreslab.State(err) == "25006": // the transaction is read-only
		return "", "", history.Refused
	default:
		return "", "", history.Unknown
	}
}

// probe writes one number.
func (c *postgresClient) probe(n int) bool {
	n += c.number * 1e6
	return c.write(fmt.Sprintf("record:%d", n), fmt.Sprintf("INSERT INTO records VALUES (%d) RETURNING '|' || %s", n, timeline)) == history.Acknowledged
}

// write writes a token and records how that ended.
func (c *postgresClient) write(token, sql string) history.Outcome {
	w := history.Write{Token: token, Sent: c.record.now()}
	_, w.Tenure, w.Outcome = c.ask(sql)
	if w.Outcome == history.Acknowledged {
		w.Node = c.names[string(c.session.Addr)]
	}
	c.record.write(w)
	return w.Outcome
}

// operate does one operation on a register or a set.
func (c *postgresClient) operate(n int) bool {
	key, what := c.r.IntN(keys), c.r.IntN(10)
	op := history.Op{Client: c.number, Key: fmt.Sprintf("register-%d", key+1), Kind: history.Put, Value: c.number*1e6 + n}
	switch {
	case what < 3:
	case what < 5:
		op.Kind, op.Value = history.Get, 0
	case what < 8:
		op.Kind, op.Value = history.Add, int(c.made[key].Add(1)-1)
	default:
		op.Kind, op.Value = history.Members, 0
	}
	if op.Kind == history.Add || op.Kind == history.Members {
		op.Key = fmt.Sprintf("set-%d", key+1)
	}
	return c.perform(op) == history.Acknowledged
}

// perform does an operation and records it, a write as a token, too.
func (c *postgresClient) perform(op history.Op) history.Outcome {
	op.Sent = c.record.now()
	var value string
	switch op.Kind {
	case history.Put:
		op.Outcome = c.write(fmt.Sprintf("puts:%d", op.Value),
			fmt.Sprintf("WITH log AS (INSERT INTO elements VALUES ('puts', %d)) UPDATE registers SET v = %[1]d WHERE k = '%[2]s' RETURNING '|' || %[3]s", op.Value, op.Key, timeline))
	case history.Add:
		op.Outcome = c.write(fmt.Sprintf("%s:%d", op.Key, op.Value),
			fmt.Sprintf("INSERT INTO elements VALUES ('%s', %d) RETURNING '|' || %s", op.Key, op.Value, timeline))
	case history.Get:
		value, _, op.Outcome = c.ask(fmt.Sprintf("UPDATE registers SET reads = reads + 1 WHERE k = '%s' RETURNING v || '|' || %s", op.Key, timeline))
		op.Value, _ = strconv.Atoi(value) // "" where there was no answer
	case history.Members:
		value, _, op.Outcome = c.ask(fmt.Sprintf("WITH seen AS (UPDATE sets SET reads = reads + 1 WHERE k = '%s') SELECT coalesce(string_agg(e::text, ' '), '') || '|' || %s FROM elements WHERE k = '%[1]s'", op.Key, timeline))
		for _, word := range strings.Fields(value) {
			e, _ := strconv.Atoi(word) // the column is a number
			op.Seen = append(op.Seen, e)
		}
	}
	c.record.op(op)
	return op.Outcome
}

// judge is the client that reads what a server has at the end.
func (r *round) judge(s server) *postgresClient {
	addr := string(s.Addr())
	return &postgresClient{number: 99, name: "judge", host: r.hosts[s.Name()], record: r.record, names: map[string]string{addr: s.Name()},
		where: func(context.Context) (string, error) { return addr, nil }}
}

func (e *postgresEngine) contents(ctx context.Context, r *round, s server) (there map[string]bool, tenure string, err error) {
	c := r.judge(s)
	defer func() { c.session.Close() }()
	if c.connect(ctx); c.session == nil {
		return nil, "", fmt.Errorf("read what %s has: no connection", s.Name())
	}
	rows, err := c.session.Within(patience, "SELECT 'record:' || id FROM records UNION ALL SELECT k || ':' || e FROM elements UNION ALL SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE "+timeline+" END")
	if err != nil {
		return nil, "", fmt.Errorf("read what %s has: %w", s.Name(), err)
	}
	there = map[string]bool{}
	for _, row := range rows[:len(rows)-1] {
		there[row] = true
	}
	return there, rows[len(rows)-1], nil
}

// again performs an operation, on a new connection if the last one is gone.
func (c *postgresClient) again(ctx context.Context, op history.Op) bool {
	if c.session == nil {
		c.connect(ctx)
	}
	if c.session == nil {
		return false
	}
	if c.perform(op) == history.Acknowledged {
		return true
	}
	c.session.Close()
	c.session = nil
	return false
}

func (e *postgresEngine) judge(ctx context.Context, r *round, primary server, there map[string]bool, tenure string) (judgement, error) {
	notes := twice(r.servers)
	if !e.quorum() && !e.options.demand {
		j := judgeAsync(r.record, there, tenure)
		j.notes = notes
		return j, nil
	}
	c := r.judge(primary)
	defer func() { c.session.Close() }()
	// What is there at the end belongs to the history. A read without an answer
	// says nothing, so it is asked again.
	for n := range keys {
		for _, op := range []history.Op{{Key: fmt.Sprintf("register-%d", n+1), Kind: history.Get}, {Key: fmt.Sprintf("set-%d", n+1), Kind: history.Members}} {
			op.Client = c.number
			if err := poll(patience, func() bool { return c.again(ctx, op) || ctx.Err() != nil }); err != nil {
				return judgement{}, fmt.Errorf("read %s at the end: %w", op.Key, err)
			}
		}
	}
	j := judgeQuorum(r.record, there, timelines)
	j.notes = notes
	return j, nil
}

var begun = regexp.MustCompile(`selected new timeline ID: (\d+)`)

// twice tells of timelines that two servers began: a server takes the next number
// that it knows to be free, and may not have heard of the last promotion. Their
// data differ, and nothing in PostgreSQL tells one from the other.
func twice(servers []server) []string {
	by := map[string][]string{}
	for _, s := range servers {
		p, ok := s.(*postgresServer)
		if !ok {
			continue
		}
		text, _ := os.ReadFile(p.Log) // a note is no proof, so what cannot be read is left out
		for _, m := range begun.FindAllSubmatch(text, -1) {
			by[string(m[1])] = append(by[string(m[1])], s.Name())
		}
	}
	var out []string
	for line, names := range by {
		if len(names) > 1 {
			out = append(out, fmt.Sprintf("timeline %s was begun by %s", line, strings.Join(names, " and ")))
		}
	}
	slices.Sort(out)
	return out
}
