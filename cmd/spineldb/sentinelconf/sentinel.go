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

// The passes over the lines of sentinel. What is read in one of them may
// depend on all of those before, so the order of the lines is free.
const (
	passGlobal = iota
	passMonitor
	passGroup
	passes
)

// statement is one kind of sentinel line.
type statement struct {
	// name is the word after "sentinel".
	name string
	// least and most are the numbers of values, the group's name included.
	least, most int
	pass        int
	// set reads a line that is about this Sentinel; of reads one that is about
	// a group, without the group's name.
	set setter
	of  func(f *File, g *Group, args []string) *problem
}

// spelling is the name of a statement in lower case and in the spelling of the
// table, whatever was written, and whether it is about a group.
func spelling(word string) (name string, ofGroup, ok bool) {
	switch name = strings.ToLower(word); name {
	case "myid", "current-epoch", "announce-ip", "announce-port", "deny-scripts-reconfig", "resolve-hostnames",
		"announce-hostnames", "sentinel-user", "sentinel-pass":
		return name, false, true
	case "monitor", "down-after-milliseconds", "failover-timeout", "parallel-syncs", "notification-script",
		"client-reconfig-script", "auth-pass", "auth-user", "master-reboot-down-after-period", "config-epoch",
		"leader-epoch", "known-replica", "known-sentinel", "rename-command":
		return name, true, true
	case "primary-reboot-down-after-period":
		return "master-reboot-down-after-period", true, true
	case "known-slave":
		return "known-replica", true, true
	}
	return name, false, false
}

// statementNames are those of the table, in both spellings.
func statementNames() []string {
	names := []string{"primary-reboot-down-after-period", "known-slave"}
	for _, s := range statements() {
		names = append(names, s.name)
	}
	return names
}

func statements() []statement {
	return []statement{
		{"myid", 1, 1, passGlobal, setMyID, nil},
		{"current-epoch", 1, 1, passGlobal, setCurrentEpoch, nil},
		{"announce-ip", 1, 1, passGlobal, setAnnounceIP, nil},
		{"announce-port", 1, 1, passGlobal, setAnnouncePort, nil},
		{"deny-scripts-reconfig", 1, 1, passGlobal, decide("Please specify yes or no for the deny-scripts-reconfig options.", func(s *State) *bool { return &s.DenyScriptsReconfig }), nil},
		{"resolve-hostnames", 1, 1, passGlobal, decide("Please specify yes or no for the resolve-hostnames option.", func(s *State) *bool { return &s.ResolveHostnames }), nil},
		{"announce-hostnames", 1, 1, passGlobal, decide("Please specify yes or no for the announce-hostnames option.", func(s *State) *bool { return &s.AnnounceHostnames }), nil},
		{"sentinel-user", 1, 1, passGlobal, func(f *File, a []string) *problem { f.State.SentinelUser = a[0]; return nil }, nil},
		{"sentinel-pass", 1, 1, passGlobal, func(f *File, a []string) *problem { f.State.SentinelPass = config.Secret(a[0]); return nil }, nil},

		{"monitor", 4, 4, passMonitor, setMonitor, nil},

		{"down-after-milliseconds", 2, 2, passGroup, nil, period(func(g *Group) *warden.Duration { return &g.DownAfter }, 1, "negative or zero time parameter.")},
		{"failover-timeout", 2, 2, passGroup, nil, period(func(g *Group) *warden.Duration { return &g.FailoverTimeout }, 1, "negative or zero time parameter.")},
		{"parallel-syncs", 2, 2, passGroup, nil, setParallelSyncs},
		{"notification-script", 2, 2, passGroup, nil, script("Notification", func(g *Group) *string { return &g.NotificationScript })},
		{"client-reconfig-script", 2, 2, passGroup, nil, script("Client reconfiguration", func(g *Group) *string { return &g.ReconfigScript })},
		{"auth-pass", 2, 2, passGroup, nil, func(_ *File, g *Group, a []string) *problem { g.AuthPass = config.Secret(a[0]); return nil }},
		{"auth-user", 2, 2, passGroup, nil, func(_ *File, g *Group, a []string) *problem { g.AuthUser = a[0]; return nil }},
		{"master-reboot-down-after-period", 2, 2, passGroup, nil, period(func(g *Group) *warden.Duration { return &g.RebootDownAfter }, 0, "negative time parameter.")},
		{"config-epoch", 2, 2, passGroup, nil, setConfigEpoch},
		{"leader-epoch", 2, 2, passGroup, nil, setLeaderEpoch},
		{"known-replica", 3, 3, passGroup, nil, setKnownReplica},
		{"known-sentinel", 3, 4, passGroup, nil, setKnownSentinel},
		{"rename-command", 3, 3, passGroup, nil, setRename},
	}
}

// sentinel gives the lines of sentinel their meaning.
func (f *File) sentinel() error {
	table := map[string]statement{}
	for _, s := range statements() {
		table[s.name] = s
	}
	for pass := range passes {
		for _, d := range f.found {
			// A line "sentinel" alone stands for the flag --sentinel.
			if d.words[0] != "sentinel" || len(d.words) == 1 {
				continue
			}
			name, _, ok := spelling(d.words[1])
			s, values := table[name], len(d.words)-2
			if fits := ok && values >= s.least && values <= s.most; !fits {
				// Sentinel finds these last, too.
				if pass == passGroup {
					return d.failed(unrecognized(d, s, ok))
				}
				continue
			}
			if s.pass != pass {
				continue
			}
			if p := f.statement(s, d); p != nil {
				return d.failed(p)
			}
		}
	}
	return f.checkGroups()
}

func unrecognized(d directive, s statement, ok bool) *problem {
	p := refuse("Unrecognized sentinel configuration statement.")
	switch n := len(d.words) - 2; {
	case !ok:
		p.hint = meant(d.words[1], statementNames())
	case n > s.most && strings.HasPrefix(d.words[2+s.most], "#"):
		p.hint = "a remark needs a line of its own"
	case n > s.most && secret("sentinel "+s.name):
		p.hint = "put a password with blanks in quotes"
	case s.least == s.most:
		p.hint = fmt.Sprintf("%s takes %d values, not %d", s.name, s.most, n)
	default:
		p.hint = fmt.Sprintf("%s takes %d or %d values, not %d", s.name, s.least, s.most, n)
	}
	return p
}

func (f *File) statement(s statement, d directive) *problem {
	f.at = d
	args := d.words[2:]
	if s.of == nil {
		return s.set(f, args)
	}
	g := f.State.Group(args[0])
	if g == nil {
		names := make([]string, len(f.State.Groups))
		for i, g := range f.State.Groups {
			names[i] = g.Name
		}
		return &problem{"No such master with specified name.", meant(args[0], names)}
	}
	return s.of(f, g, args[1:])
}

func setMyID(f *File, args []string) *problem {
	if len(args[0]) != 40 {
		return &problem{"Malformed Sentinel id in myid option.", "remove the line to get a new id"}
	}
	f.State.MyID = args[0]
	return nil
}

func readEpoch(text string) (uint64, *problem) {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, refuse("an epoch is a whole number, 0 or more")
	}
	return n, nil
}

func setCurrentEpoch(f *File, args []string) *problem {
	n, p := readEpoch(args[0])
	f.State.CurrentEpoch = max(f.State.CurrentEpoch, n)
	return p
}

func setConfigEpoch(f *File, g *Group, args []string) *problem {
	n, p := readEpoch(args[0])
	g.ConfigEpoch = n
	f.State.CurrentEpoch = max(f.State.CurrentEpoch, n)
	return p
}

func setLeaderEpoch(_ *File, g *Group, args []string) (p *problem) {
	g.LeaderEpoch, p = readEpoch(args[0])
	return p
}

func setAnnounceIP(f *File, args []string) *problem {
	if args[0] != "" {
		if p := f.checkHost(args[0]); p != nil {
			return p
		}
	}
	f.State.AnnounceIP = args[0]
	return nil
}

func setAnnouncePort(f *File, args []string) *problem {
	n, err := strconv.Atoi(args[0])
	if err != nil || n < 0 || n > 65535 {
		return refuse("Invalid port number.")
	}
	f.State.AnnouncePort = n
	return nil
}

func decide(reason string, field func(*State) *bool) setter {
	return func(f *File, args []string) *problem {
		yes, ok := readYesNo(args[0])
		if !ok {
			return refuse(reason)
		}
		*field(&f.State) = yes
		return nil
	}
}

func setMonitor(f *File, args []string) *problem {
	name, host := args[0], args[1]
	quorum, err := strconv.Atoi(args[3])
	if err != nil || quorum <= 0 {
		return refuse("Quorum must be 1 or greater.")
	}
	if f.State.Group(name) != nil {
		// What the rewriting added replaces what an included file or the command
		// line says, because those are never rewritten.
		rewritten := f.count(f.at, byRewrite) == 1
		switch {
		case rewritten && f.at.from > byRewrite && f.count(f.at, byOperator) == 0:
			return nil
		case rewritten && f.at.from == byRewrite && f.count(f.at, byOperator) == 0:
			f.State.Groups = slices.DeleteFunc(f.State.Groups, func(g Group) bool { return g.Name == name })
		default:
			return &problem{"Duplicate master name.", "remove one of the two lines"}
		}
	}
	if _, err := warden.ParseGroupName(name); err != nil {
		return refuse(err.Error())
	}
	if p := f.checkHost(host); p != nil {
		return p
	}
	port, p := readPort(args[2])
	if p != nil {
		return p
	}
	f.State.Groups = append(f.State.Groups, NewGroup(name, host, port, quorum))
	return nil
}

// count is how many lines of an origin are about the same as d.
func (f *File) count(d directive, from origin) int {
	n, k := 0, keyOf(d.words)
	for _, other := range f.found {
		if other.from == from && keyOf(other.words) == k {
			n++
		}
	}
	return n
}

func readPort(text string) (int, *problem) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 65535 {
		return 0, refuse("Invalid port number.")
	}
	return n, nil
}

// checkHost accepts an IP address, and a name if names are to be resolved.
// Whether a name can be resolved now is not asked: a Warden starts while the
// name server is away.
func (f *File) checkHost(host string) *problem {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	switch {
	case !config.IsHostName(host):
		return refuse("Can't resolve instance hostname.")
	case !f.State.ResolveHostnames:
		return &problem{"Can't resolve instance hostname.", "host names need the line: sentinel resolve-hostnames yes"}
	}
	return nil
}

// period is a time in milliseconds of at least least.
func period(field func(*Group) *warden.Duration, least int64, reason string) func(*File, *Group, []string) *problem {
	return func(_ *File, g *Group, args []string) *problem {
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return refuse("a time is a whole number of milliseconds")
		}
		if n < least {
			return refuse(reason)
		}
		// A hundred years and more is a typing mistake, and would overflow.
		if n > 100*365*24*3600*1000 {
			return refuse("the time is longer than a hundred years")
		}
		*field(g) = warden.Duration(n) * warden.Millisecond
		return nil
	}
}

func setParallelSyncs(_ *File, g *Group, args []string) *problem {
	n, err := strconv.ParseInt(args[0], 10, 32)
	if err != nil {
		return refuse("parallel-syncs is a whole number")
	}
	g.ParallelSyncs = int(n)
	return nil
}

func script(kind string, field func(*Group) *string) func(*File, *Group, []string) *problem {
	return func(f *File, g *Group, args []string) *problem {
		if f.world.Executable != nil {
			if err := f.world.Executable(absolute(f.dir(), args[0])); err != nil {
				return &problem{kind + " script seems non existing or non executable.", plain(err).Error()}
			}
		}
		*field(g) = args[0]
		return nil
	}
}

func setKnownReplica(f *File, g *Group, args []string) *problem {
	a, p := f.readAddress(args)
	if p != nil {
		return p
	}
	if slices.ContainsFunc(g.Replicas, a.same) {
		return refuse("Duplicate hostname and port for replica.")
	}
	g.Replicas = append(g.Replicas, a)
	return nil
}

func setKnownSentinel(f *File, g *Group, args []string) *problem {
	if len(args) < 3 {
		// Without an id, from a time before there were any.
		return nil
	}
	a, p := f.readAddress(args)
	if p != nil {
		return p
	}
	if slices.ContainsFunc(g.Sentinels, func(n Neighbour) bool { return n.ID == args[2] }) {
		return refuse("Duplicate runid for sentinel.")
	}
	g.Sentinels = append(g.Sentinels, Neighbour{a, args[2]})
	return nil
}

func (f *File) readAddress(args []string) (Address, *problem) {
	if p := f.checkHost(args[0]); p != nil {
		return Address{}, p
	}
	port, p := readPort(args[1])
	return Address{args[0], port}, p
}

func (a Address) same(b Address) bool { return a.node() == b.node() }

func (a Address) node() warden.NodeID { return warden.MakeNode(a.Host, a.Port) }

func setRename(f *File, g *Group, args []string) *problem {
	if args[0] == "" || args[1] == "" {
		return refuse("a command to rename and its new name must not be empty")
	}
	if i := slices.IndexFunc(g.Renames, func(r Rename) bool { return strings.EqualFold(r.From, args[0]) }); i >= 0 {
		if !f.elsewhere() {
			return refuse("Same command renamed multiple times with rename-command.")
		}
		g.Renames[i] = Rename{args[0], args[1]}
		return nil
	}
	g.Renames = append(g.Renames, Rename{args[0], args[1]})
	return nil
}

// elsewhere reports whether this is the only line of its kind where it stands,
// the main file, the included ones or the command line. Then another one is no
// mistake: the rewriting repeats in the main file what the others say.
func (f *File) elsewhere() bool {
	switch f.at.from {
	case byOperator, byRewrite:
		return f.count(f.at, byOperator)+f.count(f.at, byRewrite) == 1
	}
	return f.count(f.at, f.at.from) == 1
}

// checkGroups refuses two groups over one primary: they would order it to and
// fro.
func (f *File) checkGroups() error {
	first := map[warden.NodeID]string{}
	for _, g := range f.State.Groups {
		node := Address{g.Host, g.Port}.node()
		other, taken := first[node]
		if !taken {
			first[node] = g.Name
			continue
		}
		for _, d := range f.found {
			if directiveName(d.words) == "sentinel monitor" && d.words[2] == g.Name {
				return d.failed(&problem{fmt.Sprintf("the primary %s is already monitored as %s", node, other), "remove one of the two"})
			}
		}
	}
	return nil
}

// directiveName names what a line is about, in the spelling of the tables:
// "port", "sentinel auth-pass".
func directiveName(words []string) string {
	if words[0] != "sentinel" || len(words) < 2 {
		return words[0]
	}
	name, _, _ := spelling(words[1])
	return "sentinel " + name
}
