package sentinelconf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// Server is what the lines other than those of sentinel say. Paths are
// absolute; an empty text or a 0 is Sentinel's default unless said otherwise.
type Server struct {
	// Port is 26379 unless set; 0: clients are not served without TLS.
	Port int
	// Bind are the addresses to listen on. One that begins with "-" may be
	// missing from this machine, "*" is every IPv4 and "::*" every IPv6
	// address. Empty: all.
	Bind []string
	// BindSource is the IP address that connections to nodes and Wardens come
	// from; empty: what the system chooses.
	BindSource     string
	UnixSocket     string
	UnixSocketPerm uint32
	// ProtectedMode is no unless set: clients from elsewhere are served even
	// if there is no password.
	ProtectedMode bool
	// Timeout closes idle clients; 0: never. TCPKeepalive is 300 s unless set;
	// 0: none.
	Timeout, TCPKeepalive warden.Duration
	TCPBacklog            int
	MaxClients            int
	RequirePass           config.Secret
	ACLFile               string
	ACLLogMaxLen          int
	// AllChannels: users that are made may listen to every channel.
	AllChannels bool
	// Renames are commands that our own clients know under another name; an
	// empty To forbids one.
	Renames []Rename
	TLS     config.TLS

	Daemonize bool
	PidFile   string
	// LogFile is empty for the standard output.
	LogFile  string
	LogLevel string
	// Dir is the directory to change to; empty: stay.
	Dir string

	SyslogEnabled  bool
	SyslogIdent    string
	SyslogFacility string
}

func newServer() Server {
	return Server{
		Port: config.DefaultPort, TCPKeepalive: 300 * warden.Second, TCPBacklog: 511, MaxClients: 10000, ACLLogMaxLen: 128,
		LogLevel: "notice", SyslogIdent: "redis", SyslogFacility: "local0", TLS: config.TLS{ClientAuth: "yes"},
	}
}

// setter reads the values of one directive. dir is where relative paths start.
type setter func(f *File, args []string) *problem

// rule says how many values a directive has and what they mean. Without set
// they mean nothing to a Warden.
type rule struct {
	least, most int // most < 0: any number
	set         setter
}

// findDirective finds a directive that is not of sentinel by its name in lower case.
func findDirective(name string) (rule, bool) {
	if r, ok := rules()[name]; ok {
		return r, true
	}
	if slices.Contains(strings.Fields(meaningless), name) {
		return rule{1, -1, nil}, true
	}
	return rule{}, false
}

// directiveNames are all that findDirective knows.
func directiveNames() []string {
	names := strings.Fields(meaningless)
	for name := range rules() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// one is a directive with one value.
func one(set setter) rule { return rule{1, 1, set} }

func rules() map[string]rule {
	return map[string]rule{
		"port":               one(whole(0, 65535, func(f *File) *int { return &f.Server.Port })),
		"bind":               {1, -1, setBind},
		"bind-source-addr":   one(setBindSource),
		"unixsocket":         one(path(func(f *File) *string { return &f.Server.UnixSocket })),
		"unixsocketperm":     one(setSocketMode),
		"protected-mode":     one(yesNo(func(f *File) *bool { return &f.Server.ProtectedMode })),
		"timeout":            one(seconds(func(f *File) *warden.Duration { return &f.Server.Timeout })),
		"tcp-keepalive":      one(seconds(func(f *File) *warden.Duration { return &f.Server.TCPKeepalive })),
		"tcp-backlog":        one(whole(0, 1<<31-1, func(f *File) *int { return &f.Server.TCPBacklog })),
		"maxclients":         one(whole(1, 1<<31-1, func(f *File) *int { return &f.Server.MaxClients })),
		"requirepass":        one(password(func(f *File) *config.Secret { return &f.Server.RequirePass })),
		"aclfile":            one(path(func(f *File) *string { return &f.Server.ACLFile })),
		"acllog-max-len":     one(whole(0, 1<<31-1, func(f *File) *int { return &f.Server.ACLLogMaxLen })),
		"acl-pubsub-default": one(setPubsubDefault),
		"user":               {1, -1, setUser},
		"rename-command":     {2, 2, setOwnRename},

		"daemonize":       one(yesNo(func(f *File) *bool { return &f.Server.Daemonize })),
		"pidfile":         one(path(func(f *File) *string { return &f.Server.PidFile })),
		"logfile":         one(path(func(f *File) *string { return &f.Server.LogFile })),
		"loglevel":        one(choice([]string{"debug", "verbose", "notice", "warning", "nothing"}, func(f *File) *string { return &f.Server.LogLevel })),
		"dir":             one(setDir),
		"syslog-enabled":  one(yesNo(func(f *File) *bool { return &f.Server.SyslogEnabled })),
		"syslog-ident":    one(text(func(f *File) *string { return &f.Server.SyslogIdent })),
		"syslog-facility": one(choice(facilities(), func(f *File) *string { return &f.Server.SyslogFacility })),

		"tls-port":                 one(whole(0, 65535, func(f *File) *int { return &f.Server.TLS.Port })),
		"tls-cert-file":            one(path(func(f *File) *string { return &f.Server.TLS.CertFile })),
		"tls-key-file":             one(path(func(f *File) *string { return &f.Server.TLS.KeyFile })),
		"tls-key-file-pass":        one(password(func(f *File) *config.Secret { return &f.Server.TLS.KeyPassword })),
		"tls-client-cert-file":     one(path(func(f *File) *string { return &f.Server.TLS.ClientCertFile })),
		"tls-client-key-file":      one(path(func(f *File) *string { return &f.Server.TLS.ClientKeyFile })),
		"tls-client-key-file-pass": one(password(func(f *File) *config.Secret { return &f.Server.TLS.ClientKeyPassword })),
		"tls-ca-cert-file":         one(path(func(f *File) *string { return &f.Server.TLS.CAFile })),
		"tls-ca-cert-dir":          one(path(func(f *File) *string { return &f.Server.TLS.CADir })),
		"tls-auth-clients":         one(choice([]string{"no", "yes", "optional"}, func(f *File) *string { return &f.Server.TLS.ClientAuth })),
		"tls-replication":          one(yesNo(func(f *File) *bool { return &f.Server.TLS.Nodes })),
		"tls-protocols":            {1, -1, setProtocols},

		"loadmodule": {1, -1, ignored("modules cannot be loaded")},
		"include":    one(nil), // read before; a wrong number of values comes here
	}
}

func facilities() []string {
	return []string{"user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
}

// server gives a directive its meaning.
func (f *File) server(d directive) *problem {
	name := d.words[0]
	r, ok := findDirective(name)
	switch {
	case !ok && strings.Contains(name, "."):
		// A setting of a module. Sentinel loads none and asks for none.
		f.warn(d, "is a module's setting and means nothing here")
		return nil
	case !ok:
		return &problem{"Bad directive or wrong number of arguments", meant(name, append(directiveNames(), "sentinel"))}
	}
	args := d.words[1:]
	if len(args) < r.least || r.most >= 0 && len(args) > r.most {
		p := refuse("wrong number of arguments")
		if r.most >= 0 && len(args) > r.most && strings.HasPrefix(args[r.most], "#") {
			p.hint = "a remark needs a line of its own"
		}
		return p
	}
	if r.set == nil {
		return nil
	}
	f.at = d
	return r.set(f, args)
}

func (f *File) warn(d directive, format string, args ...any) {
	f.Warnings = append(f.Warnings, fmt.Sprintf("%s:%d: %s %s", d.file, d.line, d.words[0], fmt.Sprintf(format, args...)))
}

func whole(low, high int, field func(*File) *int) setter {
	return func(f *File, args []string) *problem {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return refuse("argument couldn't be parsed into an integer")
		}
		if n < low || n > high {
			return refuse(fmt.Sprintf("argument must be between %d and %d inclusive", low, high))
		}
		*field(f) = n
		return nil
	}
}

func seconds(field func(*File) *warden.Duration) setter {
	n := 0
	read := whole(0, 1<<31-1, func(*File) *int { return &n })
	return func(f *File, args []string) *problem {
		p := read(f, args)
		if p == nil {
			*field(f) = warden.Duration(n) * warden.Second
		}
		return p
	}
}

func yesNo(field func(*File) *bool) setter {
	return func(f *File, args []string) *problem {
		yes, ok := readYesNo(args[0])
		if !ok {
			return refuse("argument must be 'yes' or 'no'")
		}
		*field(f) = yes
		return nil
	}
}

func readYesNo(s string) (yes, ok bool) {
	yes = strings.EqualFold(s, "yes")
	return yes, yes || strings.EqualFold(s, "no")
}

func choice(words []string, field func(*File) *string) setter {
	return func(f *File, args []string) *problem {
		word := strings.ToLower(args[0])
		if !slices.Contains(words, word) {
			return &problem{"argument(s) must be one of the following: " + strings.Join(words, ", "), meant(word, words)}
		}
		*field(f) = word
		return nil
	}
}

func text(field func(*File) *string) setter {
	return func(f *File, args []string) *problem {
		*field(f) = args[0]
		return nil
	}
}

// path is seen from the directory that the process will have changed to, so it
// is made absolute when all lines are read.
func path(field func(*File) *string) setter {
	return func(f *File, args []string) *problem {
		p := field(f)
		*p = args[0]
		f.paths = append(f.paths, p)
		return nil
	}
}

func password(field func(*File) *config.Secret) setter {
	return func(f *File, args []string) *problem {
		*field(f) = config.Secret(args[0])
		return nil
	}
}

// ignored warns that a directive has no effect where somebody might miss it.
func ignored(why string) setter {
	return func(f *File, _ []string) *problem {
		f.warn(f.at, "has no effect: %s", why)
		return nil
	}
}

func setDir(f *File, args []string) *problem {
	f.Server.Dir = absolute(f.dir(), args[0])
	return nil
}

func setBindSource(f *File, args []string) *problem {
	if a, err := netip.ParseAddr(args[0]); args[0] != "" && (err != nil || a.Zone() != "") {
		return &problem{"argument is not an IP address", "name an address of this machine"}
	}
	f.Server.BindSource = args[0]
	return nil
}

// setBind reads addresses, in one value or in several.
func setBind(f *File, args []string) *problem {
	f.Server.Bind = nil
	for _, arg := range args {
		f.Server.Bind = append(f.Server.Bind, strings.Fields(arg)...)
	}
	return nil
}

func setSocketMode(f *File, args []string) *problem {
	n, err := strconv.ParseUint(args[0], 8, 32)
	if err != nil || n > 0o777 {
		return refuse("argument couldn't be parsed into an octal number from 0 to 777")
	}
	f.Server.UnixSocketPerm = uint32(n)
	return nil
}

func setPubsubDefault(f *File, args []string) *problem {
	var word string
	p := choice([]string{"allchannels", "resetchannels"}, func(*File) *string { return &word })(f, args)
	f.Server.AllChannels = word == "allchannels"
	return p
}

func setOwnRename(f *File, args []string) *problem {
	f.Server.Renames = append(f.Server.Renames, Rename{args[0], args[1]})
	return nil
}

// setUser keeps the passwords of a user as hashes only.
func setUser(f *File, args []string) *problem {
	user, err := config.HideUser(args)
	if err != nil {
		return &problem{"Error in user declaration: " + err.Error(), ""}
	}
	if i := slices.IndexFunc(f.State.Users, func(u string) bool { return userName(u) == args[0] }); i >= 0 {
		if !f.elsewhere() {
			return refuse("Error in user declaration: the user is declared twice")
		}
		f.State.Users[i] = user
		return nil
	}
	f.State.Users = append(f.State.Users, user)
	return nil
}

func userName(user string) string {
	name, _, _ := strings.Cut(user, " ")
	return name
}

func setProtocols(f *File, args []string) *problem {
	names := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	var out []string
	for _, word := range strings.Fields(strings.Join(args, " ")) {
		i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, word) })
		if i < 0 {
			return refuse("Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.")
		}
		out = append(out, names[i])
	}
	f.Server.TLS.Protocols = strings.Join(out, " ")
	return nil
}

// meaningless are the directives of Redis 7 and Valkey 8 that a Sentinel
// accepts although they are of no use to it.
const meaningless = `
active-defrag-cycle-max active-defrag-cycle-min active-defrag-ignore-bytes
active-defrag-max-scan-fields active-defrag-threshold-lower active-defrag-threshold-upper active-expire-effort
activedefrag activerehashing always-show-logo aof-disable-auto-gc aof-load-truncated aof-rewrite-incremental-fsync
aof-timestamp-enabled aof-use-rdb-preamble aof_rewrite_cpulist aof-rewrite-cpulist appenddirname appendfilename
appendfsync appendonly auto-aof-rewrite-min-size auto-aof-rewrite-percentage availability-zone bgsave_cpulist
bgsave-cpulist bio_cpulist bio-cpulist busy-reply-threshold client-output-buffer-limit client-query-buffer-limit
cluster-allow-pubsubshard-when-down cluster-allow-reads-when-down cluster-allow-replica-migration
cluster-announce-bus-port cluster-announce-client-ipv4 cluster-announce-client-ipv6 cluster-announce-hostname
cluster-announce-human-nodename cluster-announce-ip cluster-announce-port cluster-announce-tls-port
cluster-blacklist-ttl cluster-config-file cluster-databases cluster-enabled cluster-link-sendbuf-limit
cluster-manual-failover-timeout cluster-migration-barrier cluster-node-timeout cluster-ping-interval cluster-port
cluster-preferred-endpoint-type cluster-replica-no-failover cluster-replica-validity-factor
cluster-require-full-coverage cluster-slave-no-failover cluster-slave-validity-factor cluster-slot-migration-log-max-len
cluster-slot-stats-enabled commandlog-execution-slower-than commandlog-large-reply-max-len
commandlog-large-request-max-len commandlog-reply-larger-than commandlog-request-larger-than
commandlog-slow-execution-max-len crash-log-enabled crash-memcheck-enabled databases dbfilename disable-thp
dual-channel-replication-enabled dynamic-hz enable-debug-assert enable-debug-command enable-module-command
enable-protected-configs events-per-io-thread extended-redis-compatibility hash-max-listpack-entries
hash-max-listpack-value hash-max-ziplist-entries hash-max-ziplist-value hash-seed hide-user-data-from-log
hll-sparse-max-bytes hz ignore-warnings import-mode io-threads io-threads-do-reads jemalloc-bg-thread key-load-delay
latency-monitor-threshold latency-tracking latency-tracking-info-percentiles lazyfree-lazy-eviction
lazyfree-lazy-expire lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush lfu-decay-time
lfu-log-factor list-compress-depth list-max-listpack-size list-max-ziplist-entries list-max-ziplist-size
list-max-ziplist-value locale-collate log-format log-timestamp-format lua-enable-deprecated-api lua-enable-insecure-api
lua-time-limit masterauth masteruser max-new-connections-per-cycle max-new-tls-connections-per-cycle maxmemory
maxmemory-clients maxmemory-eviction-tenacity maxmemory-policy maxmemory-samples min-replicas-max-lag
min-replicas-to-write min-slaves-max-lag min-slaves-to-write mptcp no-appendfsync-on-rewrite notify-keyspace-events
oom-score-adj oom-score-adj-values prefetch-batch-max-size primaryauth primaryuser proc-title-template
propagation-error-behavior proto-max-bulk-len rdb-del-sync-files rdb-key-save-delay rdb-save-incremental-fsync
rdb-version-check rdbchecksum rdbcompression rdma-bind rdma-port repl-backlog-size repl-backlog-ttl
repl-disable-tcp-nodelay repl-diskless-load repl-diskless-sync repl-diskless-sync-delay
repl-diskless-sync-max-replicas repl-mptcp repl-ping-replica-period repl-ping-slave-period repl-timeout
replica-announce-ip replica-announce-port replica-announced replica-full-sync-buffer-limit
replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush replica-priority replica-read-only
replica-serve-stale-data replicaof repl-diskless-sync-period sanitize-dump-payload save server_cpulist server-cpulist
set-max-intset-entries set-max-listpack-entries set-max-listpack-value set-proc-title shutdown-on-sigint
shutdown-on-sigterm shutdown-timeout slave-announce-ip slave-announce-port slave-ignore-maxmemory slave-lazy-flush
slave-priority slave-read-only slave-serve-stale-data slaveof slowlog-log-slower-than slowlog-max-len socket-mark-id
stop-writes-on-bgsave-error stream-node-max-bytes stream-node-max-entries supervised tls-auth-clients-user
tls-ciphers tls-ciphersuites tls-cluster tls-dh-params-file tls-prefer-server-ciphers tls-session-cache-size
tls-session-cache-timeout tls-session-caching tracking-table-max-keys unixsocketgroup watchdog-period
zset-max-listpack-entries zset-max-listpack-value zset-max-ziplist-entries zset-max-ziplist-value
`
