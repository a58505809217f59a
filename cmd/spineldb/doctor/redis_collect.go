package doctor

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/duration"
	"github.com/spineldb/warden/warden"
)

// RedisNode is what was found out about one server of the Redis protocol.
type RedisNode struct {
	Node   warden.NodeID
	Health warden.Health
	Err    string
	// Info is INFO, Config what CONFIG GET tells; Config is nil, and WhyNot says
	// why, where the user may not ask.
	Info   map[string]string
	Config map[string]string
	WhyNot string
	// Secrets are those of CONFIG GET, by name, to be compared and never shown.
	Secrets map[string]config.Secret
	// Users are the rules of each user, with hashes of passwords in them; nil
	// where they may not be asked for.
	Users map[string]config.Secret
	// Rate is how many bytes a second it wrote to its replicas just now.
	Rate int64
	// Ahead is by how much its clock is ahead of ours, to within Within; Within 0:
	// it does not tell its time.
	Ahead, Within time.Duration
	// Denied are commands that the user may not use, as far as could be asked
	// without changing anything. Unasked: the rest could not be asked.
	Denied  []string
	Unasked bool
	User    string
}

func (n *RedisNode) reached() bool { return n.Health == warden.HealthGood }

func (n *RedisNode) report() NodeReport {
	r := NodeReport{Node: n.Node, Reached: n.Health.Alive()}
	switch n.Info["role"] {
	case "master":
		r.Role = warden.RolePrimary
	case "slave":
		r.Role = warden.RoleReplica
	}
	if v := n.Info["redis_version"]; v != "" {
		r.Server = "redis " + v
	}
	return r
}

// replicas are those of the lines "slave0:ip=...,port=...,state=...".
func (n *RedisNode) replicas() []warden.NodeID {
	var out []warden.NodeID
	for _, key := range slices.Sorted(maps.Keys(n.Info)) {
		number, found := strings.CutPrefix(key, "slave")
		if _, err := strconv.Atoi(number); !found || err != nil {
			continue
		}
		words := map[string]string{}
		for word := range strings.SplitSeq(n.Info[key], ",") {
			name, value, _ := strings.Cut(word, "=")
			words[name] = value
		}
		port, err := strconv.Atoi(words["port"])
		if err != nil {
			continue
		}
		if id, err := warden.ParseNode(string(warden.MakeNode(words["ip"], port))); err == nil {
			out = append(out, id)
		}
	}
	return out
}

func (n *RedisNode) number(key string) int64 {
	v, _ := strconv.ParseInt(n.Info[key], 10, 64)
	return v
}

// asking is one client of a node.
type asking struct {
	client  *redis.Client
	renames map[string]string
}

// do sends a command, by the name that the node knows it under.
func (a asking) do(ctx context.Context, args ...any) *redis.Cmd {
	if word, _ := args[0].(string); a.renames[strings.ToUpper(word)] != "" {
		args[0] = a.renames[strings.ToUpper(word)]
	}
	return a.client.Do(ctx, args...)
}

// collectRedis finds out what there is to know about a server. It only reads.
func collectRedis(ctx context.Context, g Group, node warden.NodeID) *RedisNode {
	n := &RedisNode{Node: node}
	o := &redis.Options{
		Addr: string(node), Username: g.Login.User, Password: g.Login.Password, Protocol: 2, DisableIdentity: true,
		ReadTimeout: -1, WriteTimeout: -1, ContextTimeoutEnabled: true, PoolSize: 1, MaxRetries: -1, DialerRetries: 1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if g.Login.TLS != nil {
		o.TLSConfig = g.Login.TLS.Clone()
		if o.TLSConfig.ServerName == "" {
			o.TLSConfig.ServerName = node.Host()
		}
	}
	a := asking{redis.NewClient(o), g.Login.Renames}
	defer a.client.Close()
	// The first answer includes the time that connecting takes, so it is asked twice.
	_, _ = a.do(ctx, "PING").Text()
	asked := time.Now()
	text, err := a.do(ctx, "INFO", "everything").Text()
	answered := time.Now()
	n.Health, n.Err = redisHealth(err), ""
	if err != nil {
		n.Err = warden.DetailOf(err)
		return n
	}
	n.Info = parseInfo(text)
	if now := n.number("server_time_usec"); now > 0 {
		n.Within = max(answered.Sub(asked)/2, 1)
		n.Ahead = time.UnixMicro(now).Sub(asked.Add(n.Within))
	}
	n.readConfig(ctx, a)
	n.readRights(ctx, a)
	n.readUsers(ctx, a)
	n.readRate(ctx, a, answered)
	return n
}

// rateSpan is how long a primary is watched to see how much it writes.
const rateSpan = 500 * time.Millisecond

// readRate asks a primary once more how far it is, some time after the first
// answer.
func (n *RedisNode) readRate(ctx context.Context, a asking, since time.Time) {
	if n.Info["role"] != "master" || n.number("connected_slaves") == 0 {
		return
	}
	if duration.Pause(ctx, rateSpan-time.Since(since)) != nil {
		return
	}
	text, err := a.do(ctx, "INFO", "replication").Text()
	if err != nil {
		return
	}
	later := RedisNode{Info: parseInfo(text)}
	grown := later.number("master_repl_offset") - n.number("master_repl_offset")
	n.Rate = max(0, int64(float64(grown)/time.Since(since).Seconds()))
}

// readUsers asks who may do what.
func (n *RedisNode) readUsers(ctx context.Context, a asking) {
	lines, err := a.do(ctx, "ACL", "LIST").StringSlice()
	if err != nil {
		return
	}
	n.Users = map[string]config.Secret{}
	for _, line := range lines {
		name, rules, _ := strings.Cut(strings.TrimPrefix(line, "user "), " ")
		n.Users[name] = config.Secret(rules)
	}
}

// redisHealth sorts why INFO was not answered.
func redisHealth(err error) warden.Health {
	var said redis.Error
	switch {
	case err == nil:
		return warden.HealthGood
	case errors.As(err, &said):
		for _, word := range []string{"NOAUTH", "WRONGPASS", "NOPERM", "ERR AUTH", "ERR invalid password", "ERR Client sent AUTH", "DENIED"} {
			if strings.HasPrefix(err.Error(), word) {
				return warden.HealthDenied
			}
		}
		if strings.HasPrefix(err.Error(), "LOADING") {
			return warden.HealthLoading
		}
		return warden.HealthError
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return warden.HealthRefused
	case strings.Contains(err.Error(), "tls:"), strings.Contains(err.Error(), "x509:"):
		return warden.HealthDenied
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return warden.HealthSilent
	}
	return warden.HealthSilent
}

// parseInfo reads INFO: lines of KEY:VALUE.
func parseInfo(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), ":"); found && !strings.HasPrefix(key, "#") {
			out[key] = value
		}
	}
	return out
}

// watchedParameters are asked one by one: older servers take no list.
var watchedParameters = []string{
	"save", "appendonly", "appendfsync", "min-replicas-to-write", "min-replicas-max-lag", "maxmemory", "maxmemory-policy", "repl-backlog-size",
	"replica-read-only", "client-output-buffer-limit", "notify-keyspace-events", "databases", "timeout", "masteruser", "masterauth", "requirepass",
}

// secretParameters are those of them that are not to be shown.
var secretParameters = []string{"masterauth", "requirepass"}

func (n *RedisNode) readConfig(ctx context.Context, a asking) {
	values, secrets := map[string]string{}, map[string]config.Secret{}
	for _, name := range watchedParameters {
		pair, err := a.do(ctx, "CONFIG", "GET", name).StringSlice()
		if err != nil {
			n.WhyNot = warden.DetailOf(err)
			return
		}
		switch {
		case len(pair) != 2: // a server that does not know it
		case slices.Contains(secretParameters, name):
			secrets[name] = config.Secret(pair[1])
		default:
			values[name] = pair[1]
		}
	}
	n.Config, n.Secrets = values, secrets
}

// neededCommands are what watching and ordering a node takes, in words that
// are complete enough for ACL DRYRUN. The key is the rule that allows it.
var neededCommands = map[string][]any{
	"+ping": {"PING"}, "+info": {"INFO"}, "+role": {"ROLE"}, "+command": {"COMMAND"}, "+multi": {"MULTI"}, "+exec": {"EXEC"},
	"&__sentinel__:hello +subscribe": {"SUBSCRIBE", "__sentinel__:hello"},
	"&__warden__:hello +subscribe":   {"SUBSCRIBE", "__warden__:hello"}, "&__warden__:hello +publish": {"PUBLISH", "__warden__:hello", "x"},
	"+replicaof": {"REPLICAOF", "NO", "ONE"}, "+config|rewrite": {"CONFIG", "REWRITE"}, "+client|setname": {"CLIENT", "SETNAME", "x"},
	"+client|id": {"CLIENT", "ID"}, "+client|list": {"CLIENT", "LIST"}, "+client|kill": {"CLIENT", "KILL", "ID", "1"},
	"+client|pause": {"CLIENT", "PAUSE", "1"}, "+client|unpause": {"CLIENT", "UNPAUSE"}, "+script|kill": {"SCRIPT", "KILL"},
}

// harmless are those of them that may simply be tried.
var harmless = []string{"+ping", "+role", "+client|id", "+client|list"}

// readRights asks the server what the user may do: by ACL DRYRUN where it lets
// itself be asked, else by trying what does no harm.
func (n *RedisNode) readRights(ctx context.Context, a asking) {
	name, err := a.do(ctx, "ACL", "WHOAMI").Text()
	if err == nil {
		n.User = name
		_, err = a.do(ctx, "ACL", "DRYRUN", name, "PING").Text()
	}
	n.Unasked = err != nil
	for _, rule := range slices.Sorted(maps.Keys(neededCommands)) {
		command := neededCommands[rule]
		if n.Unasked {
			if !slices.Contains(harmless, rule) {
				continue
			}
			if err := a.do(ctx, slices.Clone(command)...).Err(); err != nil && strings.HasPrefix(err.Error(), "NOPERM") {
				n.Denied = append(n.Denied, rule)
			}
			continue
		}
		if renamed := a.renames[command[0].(string)]; renamed != "" {
			continue // a rule names the usual word, the server knows another
		}
		text, err := a.do(ctx, append([]any{"ACL", "DRYRUN", name}, command...)...).Text()
		if err == nil && text != "OK" {
			n.Denied = append(n.Denied, rule)
		}
	}
}
