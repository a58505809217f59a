package spineldb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// abilities is what a connection found out about its server. It is asked
// again on every new connection, because an address may get another server.
type abilities struct {
	probed bool
	// plainInfo: INFO takes no list of sections (Redis before 7, SpinelDB).
	plainInfo bool
	// wantRole: INFO leaves out what ROLE says (SpinelDB replicas).
	wantRole bool
	// follow is the word that changes the role, REPLICAOF or SLAVEOF; empty
	// when the server has neither.
	follow string
	// server is the name of the software, as INFO told it last.
	server string
	// poison: the server can be told not to copy from a replaced primary
	// (SpinelDB). It is found out when it is first needed.
	poison, poisonProbed bool
	// reloaded is Observation.Reloaded, as asked at the instant reloadedAt about the
	// server with this replication id.
	reloaded   bool
	reloadedAt time.Time
	lineage    string
}

// probe asks which word changes the role. COMMAND INFO knows on most servers.
// Where it does not, the bare word is sent: without arguments it can do
// nothing, and the two possible complaints tell them apart.
func (w *wire) probe(ctx context.Context) error {
	if w.able.probed {
		return nil
	}
	words := []string{"REPLICAOF", "SLAVEOF"}
	replies, err := w.ask(ctx, []any{"COMMAND", "INFO", w.tap.word(words[0]), w.tap.word(words[1])})
	if err != nil {
		return err
	}
	if known, ok := replies[0].val.([]any); ok && len(known) == len(words) {
		for i, k := range known {
			if entry, ok := k.([]any); ok && len(entry) > 0 && w.able.follow == "" {
				w.able.follow = words[i]
			}
		}
		w.able.probed = true
		return nil
	}
	if err := replies[0].err; err != nil && healthOf(err) != warden.HealthError && healthOf(err) != warden.HealthDenied {
		return nil // loading or busy: ask again at the next look
	}
	for _, word := range words {
		replies, err := w.ask(ctx, []any{word})
		if err != nil {
			return err
		}
		if r := replies[0]; r.err == nil || !unknownCommand(r.err) {
			w.able.follow = word
			break
		}
	}
	w.able.probed = true
	return nil
}

// askFile is after how long a server that showed no append-only file is asked again:
// one that copied everything writes its file a little later.
const askFile = 30 * time.Second

// probeFile finds out whether the server has an append-only file: one that was there
// when it started, or was written since. Servers older than Redis 7 give its size as
// it was then, later ones the size of its first part; 0, if there was none.
func (w *wire) probeFile(ctx context.Context, lineage string) error {
	if w.able.lineage == lineage && (w.able.reloaded || time.Since(w.able.reloadedAt) < askFile) {
		return nil
	}
	replies, err := w.ask(ctx, []any{"INFO", "persistence"})
	if err != nil {
		return err
	}
	in := parseInfo(replies[0].text())
	size, _ := in.number("aof_base_size") // 0 when missing
	w.able.reloaded = in.get("aof_enabled") == "1" && size > 0
	w.able.reloadedAt, w.able.lineage = time.Now(), lineage
	return nil
}

// probePoison finds out whether the server knows FAILOVER POISON. Redis and
// Valkey have another FAILOVER, which must never be begun here: so the name of
// the server comes first, and nothing is tried on a server with another name.
func (w *wire) probePoison(ctx context.Context) error {
	if w.able.poisonProbed {
		return nil
	}
	if w.able.server == "" {
		replies, err := w.ask(ctx, []any{"INFO", "server"})
		if err != nil {
			return err
		}
		in := parseInfo(replies[0].text())
		w.able.server, _ = in.software()
	}
	if w.able.server != spinelDB {
		w.able.poisonProbed = w.able.server != ""
		return nil
	}
	// Without its arguments it can do nothing, and the two possible complaints
	// tell whether it is there. COMMAND INFO would not tell the forms apart.
	replies, err := w.ask(ctx, []any{"FAILOVER", "POISON"})
	if err != nil {
		return err
	}
	complaint := replies[0].err
	w.able.poison = complaint != nil && healthOf(complaint) == warden.HealthError && !unknownCommand(complaint)
	w.able.poisonProbed = true
	return nil
}

func unknownCommand(err error) bool {
	return strings.Contains(strings.ToLower(err.Error()), "unknown command")
}

// look observes the server over this connection, and first gives it the name
// (empty: as it is). A transport error leaves the observation to the caller.
func (w *wire) look(ctx context.Context, name string) (warden.Observation, error) {
	var o warden.Observation
	var asks [][]any
	if name != "" && name != w.name {
		asks = append(asks, []any{"CLIENT", "SETNAME", name})
	}
	asks = append(asks, []any{"PING"}, w.infoCommand())
	if w.able.wantRole {
		asks = append(asks, []any{"ROLE"})
	}
	replies, err := w.ask(ctx, asks...)
	if err != nil {
		return o, err
	}
	if name != "" && name != w.name {
		if replies[0].err == nil {
			w.name = name
		}
		replies = replies[1:]
	}
	ping, text := replies[0], replies[1]
	in := parseInfo(text.text())
	if !w.able.plainInfo && healthOf(ping.err) == warden.HealthGood && in.get("role") == "" {
		if in, text, err = w.lookPlain(ctx); err != nil {
			return o, err
		}
	}
	in.fill(&o)
	o.Text = text.text()
	w.able.server, _ = in.software()
	if o.Role == "" || o.Role == warden.RoleReplica && in.get("master_host") == "" {
		if err := w.lookRole(ctx, &o, replies[2:]); err != nil {
			return o, err
		}
	}
	judge(&o, ping, text)
	if o.Health == warden.HealthGood {
		if err := w.probe(ctx); err != nil {
			return o, err
		}
		if err := w.probeFile(ctx, o.Lineage); err != nil {
			return o, err
		}
	}
	o.NoFollow = w.able.probed && w.able.follow == ""
	o.Reloaded = w.able.reloaded
	return o, nil
}

// infoCommand asks for no more than is read.
func (w *wire) infoCommand() []any {
	if w.able.plainInfo {
		return []any{"INFO"}
	}
	return []any{"INFO", "server", "replication", "keyspace"}
}

// lookPlain asks for INFO without sections, and remembers that this was needed
// when it answered more than the list of sections did.
func (w *wire) lookPlain(ctx context.Context) (info, reply, error) {
	replies, err := w.ask(ctx, []any{"INFO"})
	if err != nil {
		return info{}, reply{}, err
	}
	in := parseInfo(replies[0].text())
	w.able.plainInfo = in.get("role") != ""
	return in, replies[0], nil
}

// lookRole fills in what INFO left out, from ROLE (asked with the look when it
// is known to be needed, else now).
func (w *wire) lookRole(ctx context.Context, o *warden.Observation, have []reply) error {
	if len(have) == 0 {
		var err error
		if have, err = w.ask(ctx, []any{"ROLE"}); err != nil {
			return err
		}
	}
	w.able.wantRole = fillRole(have[0].val, o)
	return nil
}

// fillRole reads the reply of ROLE and reports whether it said anything.
func fillRole(val any, o *warden.Observation) bool {
	parts, ok := val.([]any)
	if !ok || len(parts) < 2 {
		return false
	}
	switch word, _ := parts[0].(string); word {
	case "master":
		o.Role = warden.RolePrimary
		if n, ok := parts[1].(int64); ok {
			o.Position = max(o.Position, n)
		}
		return true
	case "slave":
		if len(parts) < 5 {
			return false
		}
		o.Role = warden.RoleReplica
		host, _ := parts[1].(string)
		port, _ := parts[2].(int64)
		state, _ := parts[3].(string)
		o.Upstream, _ = makeNode(host, int(port))
		o.LinkUp = state == "connected"
		o.Syncing = state == "sync"
		if n, ok := parts[4].(int64); ok {
			o.Position = max(o.Position, n)
		}
		return true
	}
	return false
}

// judge sets the health from the two answers.
func judge(o *warden.Observation, ping, text reply) {
	err := ping.err
	if err == nil && !strings.EqualFold(ping.text(), "PONG") {
		err = fmt.Errorf("answer to PING is not PONG")
	}
	if err == nil {
		err = text.err
	}
	if err == nil && o.Role == "" {
		err = errors.New("server does not tell its role: is it a database node?")
	}
	o.Health, o.Detail = healthOf(err), warden.DetailOf(err)
}

// failed is the observation of a look that got no answer.
func failed(err error) warden.Observation {
	return warden.Observation{Health: healthOf(err), Detail: warden.DetailOf(err), Priority: 100}
}
