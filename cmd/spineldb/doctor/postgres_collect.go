package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/spineldb/warden/adapters/postgres"
	"github.com/spineldb/warden/warden"
)

// collector reads the facts of one server over one session.
type collector struct {
	conn *pgconn.PgConn
	node *PostgresNode
	// dead is the error that ended the session.
	dead error
}

// collectPostgres finds out what there is to know about a server. It only reads.
func collectPostgres(ctx context.Context, g Group, node warden.NodeID) *PostgresNode {
	n := &PostgresNode{Node: node, Unread: map[string]string{}, Rights: map[string]bool{}, Settings: map[string]Setting{}, Filed: map[string]string{}}
	conn, err := connectPostgres(ctx, g, node)
	if err != nil {
		n.fail(err)
		return n
	}
	defer conn.Close(context.WithoutCancel(ctx))
	c := &collector{conn: conn, node: n}
	n.Health, n.KeyPID = warden.HealthGood, conn.PID()
	c.collect(ctx, g)
	if c.dead != nil {
		n.fail(c.dead)
	}
	return n
}

// connectPostgres opens a session. The error never contains the password. No
// cancel request is ever sent: behind a pooler it could reach somebody else.
func connectPostgres(ctx context.Context, g Group, node warden.NodeID) (*pgconn.PgConn, error) {
	l := g.Login
	words := []string{}
	for _, w := range [][2]string{
		{"host", node.Host()}, {"port", node.Port()}, {"dbname", g.database()}, {"user", l.User}, {"passfile", l.Passfile},
		{"sslmode", l.SSLMode}, {"sslrootcert", l.SSLRootCert}, {"sslcert", l.SSLCert}, {"sslkey", l.SSLKey},
	} {
		if w[1] != "" {
			words = append(words, w[0]+"='"+strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(w[1])+"'")
		}
	}
	cfg, err := pgconn.ParseConfig(strings.Join(words, " "))
	if err != nil {
		return nil, fmt.Errorf("read connection options: %w", err)
	}
	cfg.ValidateConnect, cfg.AfterConnect = nil, nil
	if l.Password != "" {
		cfg.Password = l.Password
	}
	cfg.RuntimeParams = map[string]string{"application_name": "warden-doctor", "client_encoding": "UTF8"}
	var opened atomic.Bool
	dialer := net.Dialer{}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if opened.Load() {
			return nil, errors.New("no cancel requests are sent")
		}
		return dialer.DialContext(ctx, network, addr)
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	opened.Store(true)
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		err = connect.Unwrap()
	}
	return conn, err
}

// fail notes why the server could not be looked at.
func (n *PostgresNode) fail(err error) {
	n.Err = warden.DetailOf(err)
	var said *pgconn.PgError
	switch {
	case errors.As(err, &said):
		n.Code, n.Health = said.Code, healthOfState(said.Code)
	case errors.Is(err, syscall.ECONNREFUSED):
		n.Health = warden.HealthRefused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), pgconn.Timeout(err):
		n.Health = warden.HealthSilent
	default:
		n.Health = warden.HealthError
		var network net.Error
		var file *os.PathError
		if errors.As(err, &network) {
			n.Health = warden.HealthSilent
		}
		if errors.As(err, &file) || strings.Contains(n.Err, "TLS") || strings.Contains(n.Err, "certificate") {
			n.Health = warden.HealthDenied
		}
	}
}

// healthOfState sorts what a server that is alive has against us.
func healthOfState(code string) warden.Health {
	switch {
	case code == "57P03":
		return warden.HealthLoading
	case strings.HasPrefix(code, "53"):
		return warden.HealthBusy
	case strings.HasPrefix(code, "28"), code == "42501", code == "3D000":
		return warden.HealthDenied
	}
	return warden.HealthError
}

// read asks one question whose answer is one text of JSON, and decodes it. A
// question the role may not ask is noted under part.
func (c *collector) read(ctx context.Context, part string, into any, sql string, args ...string) {
	if c.dead != nil {
		return
	}
	text, err := c.ask(ctx, sql, args...)
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), into)
	}
	if err != nil {
		c.node.Unread[part] = warden.DetailOf(err)
	}
}

func (c *collector) ask(ctx context.Context, sql string, args ...string) (string, error) {
	var params [][]byte
	for _, a := range args {
		params = append(params, []byte(a))
	}
	result := c.conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	if result.Err != nil {
		if c.conn.IsClosed() {
			c.dead = result.Err
		}
		return "", result.Err
	}
	if len(result.Rows) != 1 || len(result.Rows[0]) != 1 {
		return "", fmt.Errorf("the server answered with %d rows instead of one", len(result.Rows))
	}
	return string(result.Rows[0][0]), nil
}

// collect asks everything. What later questions depend on comes first.
func (c *collector) collect(ctx context.Context, g Group) {
	n := c.node
	before := time.Now()
	var state nodeState
	c.read(ctx, "state", &state, stateQuery)
	after := time.Now()
	state.fill(n, before, after)
	c.read(ctx, "role", &n.Role, roleQuery, "")
	c.read(ctx, "settings", &n.Settings, settingsQuery, "{"+strings.Join(watchedSettings, ",")+"}")
	c.read(ctx, "per-role settings", &n.Scoped, scopedQuery)
	if n.Standby {
		c.read(ctx, "receiver", &n.Receiver, receiverQuery)
	}
	c.read(ctx, "primary_conninfo", &n.Conninfo, conninfoQuery)
	c.read(ctx, "pg_stat_replication", &n.Standbys, standbysQuery)
	for i, s := range n.Standbys {
		if id, err := warden.ParseNode(s.Name); err == nil {
			n.Standbys[i].Node = id
		}
	}
	c.read(ctx, "slots", &n.Slots, slotsQuery)
	c.readSessions(ctx)
	c.read(ctx, "pg_file_settings", &n.Filed, filedQuery)
	c.read(ctx, "pg_file_settings", &n.Faults, faultsQuery)
	c.read(ctx, "pg_hba_file_rules", &n.HBA, hbaQuery)
	c.read(ctx, "pg_stat_archiver", &n.Archiver, archiverQuery)
	if user := g.replicator(n); user != "" {
		c.read(ctx, "roles", &n.Replicator, roleQuery, user)
	}
	for _, r := range rightsFor(g, n.Version) {
		var has bool
		c.read(ctx, "right "+r.name, &has, "SELECT to_json("+r.sql+")::text")
		if _, failed := n.Unread["right "+r.name]; !failed {
			n.Rights[r.name] = has
		}
	}
	if n.Timeline > 1 && n.Rights["pg_read_file"] {
		var history string
		c.read(ctx, "timeline history", &history, historyQuery, fmt.Sprintf("pg_wal/%08X.history", n.Timeline))
		n.Forks = postgres.ParseHistory(history)
	}
}

func (c *collector) readSessions(ctx context.Context) {
	var s struct {
		Wardens    []string `json:"wardens"`
		Superusers int      `json:"superusers"`
		Prepared   int      `json:"prepared"`
	}
	c.read(ctx, "pg_stat_activity", &s, sessionsQuery)
	c.node.Wardens, c.node.Superusers, c.node.Prepared = s.Wardens, s.Superusers, s.Prepared
}

// replicator is whom standbys log in as at a node.
func (g Group) replicator(n *PostgresNode) string {
	if g.ReplicationUser != "" {
		return g.ReplicationUser
	}
	for _, s := range n.Standbys {
		if s.User != "" {
			return s.User
		}
	}
	return n.Conninfo.User
}

// nodeState is the answer to stateQuery.
type nodeState struct {
	Version     int    `json:"version"`
	VersionText string `json:"text"`
	PID         uint32 `json:"pid"`
	Standby     bool   `json:"standby"`
	System      string `json:"system"`
	Started     int64  `json:"started"`
	Timeline    int64  `json:"timeline"`
	Position    int64  `json:"position"`
	Replayed    int64  `json:"replayed"`
	Checksums   bool   `json:"checksums"`
	Clock       int64  `json:"clock"` // microseconds
}

func (s nodeState) fill(n *PostgresNode, before, after time.Time) {
	n.Version, n.BackendPID = s.Version, s.PID
	n.VersionText, _, _ = strings.Cut(s.VersionText, " (")
	n.Started = s.Started
	n.Standby, n.System, n.Timeline, n.Position, n.Replayed, n.Checksums = s.Standby, s.System, s.Timeline, s.Position, s.Replayed, s.Checksums
	if s.Clock != 0 {
		n.Blur = after.Sub(before) / 2
		n.Ahead = time.UnixMicro(s.Clock).Sub(before.Add(n.Blur))
	}
}
