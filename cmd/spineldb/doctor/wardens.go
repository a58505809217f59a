package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// Warden is what was found out about one Warden: by asking it, or by reading a
// configuration file.
type Warden struct {
	// Name is the short id, or the path of the file.
	Name string
	ID   warden.WardenID // empty of a file
	// Why it could not be asked; empty: it answered, or it is a file.
	Why string
	// Untold says why it told no more than its status; empty: it did.
	Untold  string
	Version string
	// Ahead is by how much its clock is ahead of the one here, to within Within.
	Ahead, Within time.Duration
	// Disk is how long its store takes.
	Disk Disk
	// Settings are those at the top of the file, Groups those of each group; nil
	// where they are not known.
	Settings []config.Setting
	Groups   map[warden.GroupName][]config.Setting
	// Views are what it sees of its groups.
	Views []warden.GroupView
}

// Disk is how long writing to a disk took until it was durable.
type Disk struct {
	Syncs, Failed int
	Median, Worst time.Duration
}

// isFile reports whether nobody runs with it as far as is known.
func (w Warden) isFile() bool { return w.ID == "" && w.Why == "" }

// anyRuns reports whether there is more to look at than files.
func anyRuns(all []Warden) bool {
	return slices.ContainsFunc(all, func(w Warden) bool { return !w.isFile() })
}

func (w Warden) view(group warden.GroupName) (warden.GroupView, bool) {
	i := slices.IndexFunc(w.Views, func(v warden.GroupView) bool { return v.Name == group })
	if i < 0 {
		return warden.GroupView{}, false
	}
	return w.Views[i], true
}

// JudgeWardens compares the Wardens as processes on their machines.
func JudgeWardens(all []Warden) []Finding {
	rules := []rule[[]Warden]{{"settings", "what has to be the same at the top of every file is", checkTopSettings}}
	if anyRuns(all) {
		rules = append(rules, []rule[[]Warden]{
			{"versions", "all Wardens are of one version", checkVersions},
			{"clocks", "the clocks agree", checkWardenClocks},
			{"disks", "the disks are quick enough for votes", checkDisks},
			{"facts", "every Warden told what it is like", checkUntold},
		}...)
	}
	out := apply(Group{}, "", all, rules)
	sortFindings(out)
	return out
}

// JudgeGroup compares what the Wardens of a group have been told to do, and
// whom they reach. wanted is how many Wardens there should be, 0: not known.
func JudgeGroup(group warden.GroupName, all []Warden, wanted int) []Finding {
	g := Group{Name: group, Wardens: wanted}
	rules := []rule[[]Warden]{{"settings", "all Wardens have the same settings", checkGroupSettings}}
	if anyRuns(all) {
		rules = append(rules, rule[[]Warden]{"nodes-reach", "every Warden reaches every node", checkNodesReached})
	}
	if _, known := best(group, all); known {
		rules = append(rules,
			rule[[]Warden]{"arithmetic", "the group survives the loss of a Warden", checkArithmetic},
			rule[[]Warden]{"wardens-reach", "every Warden hears every other one", checkHeard})
	}
	out := apply(g, "", all, rules)
	sortFindings(out)
	return out
}

// weight is how bad it is if a setting is not the same everywhere.
type weight struct {
	severity Severity
	why      string
}

// weights are of those that are worse, or less bad, than to be left to chance.
func weights() map[string]weight {
	const lost = "some Wardens promise to keep acknowledged writes and others do not, so it is chance whether a failover loses any"
	const late = "a failover waits for the slowest of those that are needed"
	return map[string]weight{
		"adapter": {Error, "they look at the nodes as at different databases"}, "durability": {Error, lost},
		"sync_standbys": {Error, lost}, "fence_required": {Error, "some Wardens promote without the fence that others wait for"},
		"rename_commands":   {Error, "orders of some Wardens are not understood by the nodes"},
		"gossip_secret_key": {Error, "Wardens with different keys do not hear one another"},
		"tls_nodes":         {Warning, "some Wardens reach the nodes by TLS and others do not"},
		"requirepass":       {Warning, "a client that knows the password of one Warden is refused by another"},
		"configuration":     {Warning, "with sentinel.conf the priority counts more than the data, with warden.toml the data does"},
		"quorum":            {Warning, "they do not agree about when the primary is down"},
		"down_after":        {Warning, late}, "crash_after": {Warning, late},
		"nodes":                {Warning, "a Warden that starts while the primary is down knows only what its file names, and strangers are told by it"},
		"hello_interval":       {Note, "it works, and is probably not meant"},
		"parallel_syncs":       {Note, "it depends on the leader how many replicas copy at once"},
		"command_timeout":      {Note, "it depends on the leader when a command is killed"},
		"rejoin_timeout":       {Note, "it depends on the leader when a command is killed"},
		"replication_passfile": {Note, "it depends on the leader what standbys are told"},
	}
}

// differing compares one list of settings of each Warden.
func differing(all []Warden, of func(Warden) []config.Setting, remedy string) []Finding {
	var keys []string
	for _, w := range all {
		for _, s := range of(w) {
			if !slices.Contains(keys, s.Key) {
				keys = append(keys, s.Key)
			}
		}
	}
	var out []Finding
	for _, key := range keys {
		if words := valuesOf(key, all, of); words != "" {
			by, known := weights()[key]
			if !known {
				by = weight{Warning, "it depends on which Warden leads what is done"}
			}
			out = append(out, Finding{Severity: by.severity, Found: key + " is " + words, Why: by.why, Remedy: remedy})
		}
	}
	return out
}

// valuesOf says who has which value, "" if all who have it at all have the
// same: one of another version may not know the key.
func valuesOf(key string, all []Warden, of func(Warden) []config.Setting) string {
	type sharing struct {
		value config.Setting
		names []string
	}
	var found []*sharing
	for _, w := range all {
		settings := of(w)
		i := slices.IndexFunc(settings, func(s config.Setting) bool { return s.Key == key })
		if i < 0 {
			continue
		}
		j := slices.IndexFunc(found, func(s *sharing) bool { return s.value.Same(settings[i]) })
		if j < 0 {
			j, found = len(found), append(found, &sharing{value: settings[i]})
		}
		found[j].names = append(found[j].names, w.Name)
	}
	if len(found) < 2 {
		return ""
	}
	words := make([]string, len(found))
	for i, s := range found {
		words[i] = fmt.Sprintf("%s on %s", shownValue(s.value.Value), strings.Join(s.names, ", "))
	}
	return strings.Join(words, "; ")
}

func shownValue(v string) string {
	if v == "" {
		return "not set"
	}
	return v
}

func checkTopSettings(_ Group, all []Warden) []Finding {
	return differing(all, func(w Warden) []config.Setting { return w.Settings },
		"write the same into the file of every Warden, then kill -HUP them; restart one by one where the log asks for it")
}

func checkGroupSettings(g Group, all []Warden) []Finding {
	out := differing(all, func(w Warden) []config.Setting { return w.Groups[g.Name] },
		"write the same into the file of every Warden, then kill -HUP them")
	v, _ := best(g.Name, all)
	for i, f := range out {
		if key, _, _ := strings.Cut(f.Found, " is "); slices.Contains(agreedKeys(v.Topology.Settings), key) {
			out[i].Severity, out[i].Why = Note, "what the Wardens have agreed at run time counts, and none of these, until that is unset"
		}
	}
	return out
}

// agreedKeys are the keys of a file that are overruled by what was agreed at run
// time.
func agreedKeys(s warden.Settings) (keys []string) {
	for _, k := range []struct {
		key string
		is  bool
	}{
		{"quorum", s.Quorum != 0}, {"down_after", s.DownAfter != 0}, {"crash_after", s.CrashAfter != 0}, {"maximum_lag_on_failover", s.MaxLag != 0},
		{"durability", s.Durable != warden.Unsaid}, {"synchronous_mode_strict", s.SyncStrict != warden.Unsaid},
	} {
		if k.is {
			keys = append(keys, k.key)
		}
	}
	return keys
}

func checkVersions(_ Group, all []Warden) []Finding {
	by := map[string][]string{}
	var versions []string
	for _, w := range all {
		if w.Version == "" {
			continue
		}
		if by[w.Version] == nil {
			versions = append(versions, w.Version)
		}
		by[w.Version] = append(by[w.Version], w.Name)
	}
	if len(versions) < 2 {
		return nil
	}
	slices.Sort(versions)
	words := make([]string, len(versions))
	for i, v := range versions {
		words[i] = v + " on " + strings.Join(by[v], ", ")
	}
	return []Finding{{Severity: Note, Found: "the Wardens are of different versions: " + strings.Join(words, "; "),
		Why: "fine while they are upgraded one by one; what only the newer ones can do is not sure to be done", Remedy: "finish the upgrade"}}
}

// mostSkew is how far clocks may be apart before it is worth a word.
const mostSkew = time.Second

func checkWardenClocks(_ Group, all []Warden) []Finding {
	var first, last Warden
	for _, w := range all {
		if w.Why != "" || w.Untold != "" || w.isFile() {
			continue
		}
		if first.Name == "" || w.Ahead < first.Ahead {
			first = w
		}
		if last.Name == "" || w.Ahead > last.Ahead {
			last = w
		}
	}
	if apart := last.Ahead - first.Ahead - last.Within - first.Within; apart > mostSkew {
		return []Finding{{Severity: Warning, Found: fmt.Sprintf("the clock of %s is %s ahead of that of %s", last.Name, (last.Ahead - first.Ahead).Round(100*time.Millisecond), first.Name),
			Why: "no decision rests on wall clocks, but logs and events of several machines cannot be put in order, and certificates may count as expired", Remedy: "run chrony or another NTP client on the machines of the Wardens"}}
	}
	return nil
}

// Above these a disk is said to be slow: a failover makes about five commits
// one after the other on each of a majority, and a lease lasts a second.
const (
	slowSync    = 100 * time.Millisecond
	badSync     = 500 * time.Millisecond
	worstSync   = time.Second
	neededSyncs = 3 // below this nothing can be said
)

func checkDisks(_ Group, all []Warden) []Finding {
	var out []Finding
	for _, w := range all {
		out = append(out, judgeDisk(w.Name, w.Disk)...)
	}
	return out
}

// JudgeLocalDisk judges the disk of a data directory, measured here.
func JudgeLocalDisk(dir string, d Disk) []Finding {
	return apply(Group{}, "", d, []rule[Disk]{{"disks", "the disk of " + dir + " is quick enough for votes", func(_ Group, d Disk) []Finding { return judgeDisk(dir, d) }}})
}

func judgeDisk(where string, d Disk) []Finding {
	const why = "each vote and each decision waits for the disk; a failover makes about five such waits in a row, and a lease lasts one second"
	const remedy = "put data_dir on a quicker disk that is not shared with a busy database, and not on network storage"
	f := Finding{Severity: Warning, Place: where, Why: why, Remedy: remedy}
	switch {
	case d.Syncs < neededSyncs:
	case d.Median >= badSync:
		f.Severity = Error
		fallthrough
	case d.Median >= slowSync:
		f.Found = fmt.Sprintf("half of the last %d writes took longer than %s to be on disk", d.Syncs, d.Median.Round(time.Millisecond))
	case d.Worst >= worstSync:
		f.Found = fmt.Sprintf("one of the last %d writes took %s to be on disk", d.Syncs, d.Worst.Round(10*time.Millisecond))
	}
	var out []Finding
	if f.Found != "" {
		out = append(out, f)
	}
	if d.Failed > 0 {
		out = append(out, Finding{Severity: Warning, Place: where, Found: fmt.Sprintf("%d writes to data_dir have failed since it started", d.Failed),
			Why: "while that is so a Warden neither votes nor leads", Remedy: "look at its log, the disk and the room on it"})
	}
	return out
}

func checkUntold(_ Group, all []Warden) []Finding {
	var out []Finding
	for _, w := range all {
		if w.Untold != "" {
			out = append(out, Finding{Severity: Note, Place: w.Name, Found: "it did not tell what it is like: " + w.Untold,
				Why: "its settings, clock and disk could not be looked at", Remedy: "upgrade it, or give the user +warden|facts"})
		}
	}
	return out
}

// best is the newest agreement that is fresh, of those that know of one.
func best(group warden.GroupName, all []Warden) (found warden.GroupView, ok bool) {
	for _, w := range all {
		v, watches := w.view(group)
		if !watches || v.Provisional {
			continue
		}
		if !ok || v.Agreed && !found.Agreed || v.Agreed == found.Agreed && v.Topology.Version.Newer(found.Topology.Version) {
			found, ok = v, true
		}
	}
	return found, ok
}

// isThere reports whether a Warden answered, or is heard by one that did: not
// every client port has to be reached from here.
func isThere(group warden.GroupName, all []Warden, id warden.WardenID) bool {
	return slices.ContainsFunc(all, func(w Warden) bool {
		v, watches := w.view(group)
		return watches && (w.ID == id || hears(v, id))
	})
}

// checkArithmetic is about the votes of the list that is agreed, and about those
// that are there now.
func checkArithmetic(g Group, all []Warden) []Finding {
	v, ok := best(g.Name, all)
	n := len(v.Topology.Wardens)
	if !ok || n == 0 {
		return nil
	}
	heard := 0
	for _, id := range v.Topology.Wardens {
		if isThere(g.Name, all, id) {
			heard++
		}
	}
	majority := n/2 + 1
	need := max(majority, v.Quorum)
	three := "run three Wardens on three machines, or five, with quorum above half of them"
	var out []Finding
	switch {
	case v.Quorum > n:
		out = append(out, Finding{Severity: Error, Found: fmt.Sprintf("quorum is %d, and %d Wardens are listed", v.Quorum, n), Why: "nothing can be agreed", Remedy: fmt.Sprintf("quorum = %d, then kill -HUP the Wardens; or start the others", majority)})
	case need == n:
		out = append(out, Finding{Severity: Warning, Found: fmt.Sprintf("of %d Wardens all are needed for a failover", n), Why: "the loss of any one ends it", Remedy: three})
	case heard < need:
		out = append(out, Finding{Severity: Error, Found: fmt.Sprintf("%d of %d Wardens are there, and %d are needed", heard, n, need), Why: "there is no failover", Remedy: "start the others"})
	case heard == need:
		out = append(out, Finding{Severity: Warning, Found: fmt.Sprintf("%d of %d Wardens are there, just as many as are needed", heard, n), Why: "the loss of one more ends failovers", Remedy: "start the others, or replace them: docs/operations.md"})
	}
	if n%2 == 0 && n > 2 && g.Wardens == 0 {
		out = append(out, Finding{Severity: Note, Found: fmt.Sprintf("%d Wardens are listed, an even number", n), Why: fmt.Sprintf("they survive the loss of %d, as %d do", n-majority, n-1), Remedy: "stop one and forget it, or add one"})
	}
	switch {
	case v.Quorum < majority:
		out = append(out, Finding{Severity: Note, Found: fmt.Sprintf("quorum is %d, less than the majority of %d Wardens", v.Quorum, n),
			Why: fmt.Sprintf("%d that do not reach the primary call it down; a change takes a majority all the same, whose members must find it down themselves", v.Quorum), Remedy: fmt.Sprintf("quorum = %d", majority)})
	case v.Quorum > majority && v.Quorum <= n:
		out = append(out, Finding{Severity: Note, Found: fmt.Sprintf("quorum is %d, more than the majority of %d Wardens", v.Quorum, n),
			Why: fmt.Sprintf("the loss of %d ends failovers, where that of %d would be survived", n-v.Quorum+1, n-majority), Remedy: fmt.Sprintf("quorum = %d", majority)})
	}
	return out
}

func sortFindings(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		if a.Severity != b.Severity {
			return b.Severity.rank() - a.Severity.rank()
		}
		return strings.Compare(string(a.Node), string(b.Node))
	})
}
