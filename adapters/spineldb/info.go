package spineldb

import (
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// maxReplicas bounds how many slaveN lines are kept.
const maxReplicas = 1024

// noReplID is what Redis writes where there is no previous replication id.
const noReplID = "0000000000000000000000000000000000000000"

// spinelDB is how SpinelDB names itself.
const spinelDB = "spineldb"

// info is the text of INFO taken apart: plain lookups, nothing judged. Its
// values are parts of the text, and as short-lived or long-lived as that.
type info struct {
	values   [len(infoKeys)]string
	replicas []warden.Replica
	keyspace bool // the section was there
	keys     bool // and had a database in it
}

// infoKeys are the fields that are read, in groups of one length, so that most
// lines of the text are passed over by their length and first letter.
var infoKeys = [...]string{
	"role", "run_id", "master_host", "master_port", "master_replid", "master_replid2", "slave_priority", "slave_repl_offset",
	"replica_announced", "master_repl_offset", "master_link_status", "master_sync_in_progress", "master_link_down_since_seconds",
	"spineldb_version", "valkey_version", "dragonfly_version", "kvrocks_version", "keydb_version", "redis_version",
	"aof_enabled", "aof_base_size",
}

// infoPlaces are the indices of the fields by the lengths of their names.
var infoPlaces = func() (places [32][]int) {
	for i, key := range infoKeys {
		places[len(key)] = append(places[len(key)], i)
	}
	return places
}()

// infoAt is where a field is kept; -1: it is not read.
func infoAt(key string) int {
	if len(key) < len(infoPlaces) {
		for _, i := range infoPlaces[len(key)] {
			if infoKeys[i] == key {
				return i
			}
		}
	}
	return -1
}

// get is the value of one of infoKeys, "" when it was not there.
func (in *info) get(key string) string {
	if i := infoAt(key); i >= 0 {
		return in.values[i]
	}
	return ""
}

// parseInfo reads the reply of INFO. Lines it does not understand are left
// out; it never fails.
func parseInfo(text string) info {
	var in info
	for len(text) > 0 {
		line := text
		if end := strings.IndexByte(text, '\n'); end >= 0 {
			line, text = text[:end], text[end+1:]
		} else {
			text = ""
		}
		line = strings.TrimSuffix(line, "\r")
		if title, ok := strings.CutPrefix(line, "#"); ok {
			if strings.EqualFold(strings.TrimSpace(title), "keyspace") {
				in.keyspace = true
			}
			continue
		}
		if colon := strings.IndexByte(line, ':'); colon > 0 {
			in.take(line[:colon], line[colon+1:])
		}
	}
	return in
}

// take keeps one field.
func (in *info) take(key, value string) {
	switch {
	case key[0] == 'd' && numbered(key, "db"):
		in.keys = true
	case key[0] == 's' && numbered(key, "slave"):
		if r, ok := parseReplica(value); ok && len(in.replicas) < maxReplicas {
			in.replicas = append(in.replicas, r)
		}
	default:
		if i := infoAt(key); i >= 0 {
			in.values[i] = value
		}
	}
}

// numbered reports whether key is word followed by digits only.
func numbered(key, word string) bool {
	digits, ok := strings.CutPrefix(key, word)
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// parseReplica reads the value of a slaveN line:
// ip=127.0.0.1,port=6380,state=online,offset=14,lag=1
func parseReplica(value string) (r warden.Replica, ok bool) {
	var host string
	var port int
	for field := range strings.SplitSeq(value, ",") {
		k, v, _ := strings.Cut(field, "=")
		switch k {
		case "ip":
			host = v
		case "port":
			port, _ = strconv.Atoi(v) // 0 is refused below
		case "state":
			r.Online = v == "online"
		case "offset":
			r.Position, _ = strconv.ParseInt(v, 10, 64) // 0 when missing
		}
	}
	node, ok := makeNode(host, port)
	r.Node = node
	return r, ok
}

// makeNode is warden.MakeNode for text that a server sent: it may be anything.
func makeNode(host string, port int) (warden.NodeID, bool) {
	if host == "" || host == "?" || port < 1 || port > 65535 || strings.ContainsFunc(host, oddHost) {
		return "", false
	}
	return warden.MakeNode(host, port), true
}

func oddHost(r rune) bool { return r <= ' ' || r == 0x7f || r == ',' || r == '/' }

func (in *info) number(key string) (int64, bool) {
	n, err := strconv.ParseInt(in.get(key), 10, 64)
	return n, err == nil
}

// software names the server. Valkey, Dragonfly and others also carry a
// redis_version, of the Redis they are compatible with, so theirs comes first.
func (in *info) software() (name, version string) {
	for _, name := range []string{spinelDB, "valkey", "dragonfly", "kvrocks", "keydb", "redis"} {
		if v := in.get(name + "_version"); v != "" {
			return name, strings.TrimSpace(v)
		}
	}
	return "", ""
}

// fill writes what INFO says into an observation.
func (in *info) fill(o *warden.Observation) {
	name, version := in.software()
	o.Server = strings.TrimSpace(name + " " + version)
	o.RunID = in.get("run_id")
	o.Empty = in.keyspace && !in.keys
	o.Priority = 100
	if n, ok := in.number("slave_priority"); ok {
		o.Priority = int(n)
	}
	o.Unannounced = in.get("replica_announced") == "0"
	o.Lineage = replID(in.get("master_replid"))
	o.LineageBefore = replID(in.get("master_replid2"))
	o.Replicas = in.replicas
	switch in.get("role") {
	case "master":
		o.Role = warden.RolePrimary
		o.Position, _ = in.number("master_repl_offset") // 0 when missing
	case "slave":
		o.Role = warden.RoleReplica
		in.fillReplica(o)
	}
	if name == spinelDB {
		// There, master_replid is drawn at every start and names the process,
		// not its data: a replica shows its own. It is a run id.
		o.RunID, o.Lineage, o.LineageBefore = o.Lineage, "", ""
	}
}

func (in *info) fillReplica(o *warden.Observation) {
	if n, ok := in.number("slave_repl_offset"); ok {
		o.Position = n
	}
	port, _ := in.number("master_port") // 0 is refused by makeNode
	o.Upstream, _ = makeNode(in.get("master_host"), int(port))
	o.LinkUp = in.get("master_link_status") == "up"
	o.Syncing = in.get("master_sync_in_progress") == "1"
	if n, ok := in.number("master_link_down_since_seconds"); ok && !o.LinkUp {
		const most = int64(1) << 32 // seconds; keeps the product in range
		o.LinkDown = warden.Duration(max(-1, min(n, most))) * warden.Second
	}
}

// replID drops the all-zero id, which means that there is none.
func replID(s string) string {
	if s == noReplID {
		return ""
	}
	return s
}
