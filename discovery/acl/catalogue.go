package acl

import (
	"slices"
	"strings"
)

// categoryNames are all categories of Redis, in its order. Most are empty here.
var categoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap",
	"hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking",
	"dangerous", "connection", "transaction", "scripting",
}

// catalogue lists every command by the categories it belongs to. A word after
// a container is one of its subcommands; a container belongs to the categories
// before its colon itself.
var catalogue = []struct {
	categories string
	names      string
}{
	{"fast connection", "auth hello ping quit"},
	{"admin fast dangerous", "role"},
	{"slow dangerous", "info"},
	{"admin slow dangerous", "shutdown"},
	{"pubsub fast", "publish"},
	{"pubsub slow", "subscribe psubscribe unsubscribe punsubscribe"},
	{"slow", "acl acl|cat acl|genpass acl|help acl|whoami"},
	{"admin slow dangerous", "acl|deluser acl|dryrun acl|getuser acl|list acl|load acl|log acl|save acl|setuser acl|users"},
	{"slow", "client"},
	{"slow connection", "client|caching client|getname client|getredir client|help client|id client|info client|reply " +
		"client|setinfo client|setname client|tracking client|trackinginfo"},
	{"admin slow dangerous connection", "client|kill client|list client|no-evict client|pause client|unblock client|unpause"},
	{"slow connection", "command command|count command|docs command|getkeys command|getkeysandflags command|help command|info command|list"},
	{"slow", "sentinel|help warden|help"},
	{"admin slow dangerous", "sentinel sentinel|ckquorum sentinel|config sentinel|debug sentinel|failover sentinel|flushconfig " +
		"sentinel|get-master-addr-by-name sentinel|get-primary-addr-by-name sentinel|info-cache sentinel|is-master-down-by-addr " +
		"sentinel|is-primary-down-by-addr sentinel|master sentinel|masters sentinel|monitor sentinel|myid sentinel|pending-scripts " +
		"sentinel|primaries sentinel|primary sentinel|remove sentinel|replicas sentinel|reset sentinel|sentinels sentinel|set " +
		"sentinel|simulate-failure sentinel|slaves"},
	{"admin slow dangerous", "warden warden|config warden|drill warden|events warden|explain warden|facts warden|failover warden|forget warden|pause warden|recover " +
		"warden|release warden|reports warden|reset warden|resume warden|status warden|switchover warden|version"},
}

// commands is the catalogue by name, made once.
var commands = index()

// commandSet has one bit per command of the catalogue.
type commandSet [4]uint64

func (s *commandSet) set(id int, on bool) {
	if on {
		s[id/64] |= 1 << (id % 64)
	} else {
		s[id/64] &^= 1 << (id % 64)
	}
}

func (s *commandSet) has(id int) bool { return s[id/64]&(1<<(id%64)) != 0 }

// commandInfo is one row of the catalogue.
type commandInfo struct {
	id         int
	name       string
	categories []string
	// parts are the ids of a container's subcommands.
	parts []int
}

// commandIndex finds commands by their number and their name.
type commandIndex struct {
	rows   []commandInfo
	byName map[string]int
}

func index() commandIndex {
	x := commandIndex{byName: map[string]int{}}
	for _, row := range catalogue {
		for name := range strings.FieldsSeq(row.names) {
			x.byName[name] = len(x.rows)
			x.rows = append(x.rows, commandInfo{id: len(x.rows), name: name, categories: strings.Fields(row.categories)})
		}
	}
	for _, row := range x.rows {
		if container, _, is := strings.Cut(row.name, "|"); is {
			parent := &x.rows[x.byName[container]]
			parent.parts = append(parent.parts, row.id)
		}
	}
	return x
}

// find looks a command up by its name in any case.
func (x commandIndex) find(name string) (commandInfo, bool) {
	id, ok := x.byName[strings.ToLower(name)]
	if !ok {
		return commandInfo{}, false
	}
	return x.rows[id], true
}

// inCategory returns the ids of the commands in a category, and whether there
// is such a category.
func (x commandIndex) inCategory(category string) ([]int, bool) {
	if !slices.Contains(categoryNames, category) {
		return nil, false
	}
	var ids []int
	for _, row := range x.rows {
		if slices.Contains(row.categories, category) {
			ids = append(ids, row.id)
		}
	}
	return ids, true
}

// Categories returns the names of all categories, in Redis's order.
func (l *List) Categories() []string { return slices.Clone(categoryNames) }

// InCategory returns the commands of a category, sorted, and whether there is
// such a category.
func (l *List) InCategory(category string) ([]string, bool) {
	ids, ok := commands.inCategory(strings.ToLower(category))
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, commands.rows[id].name)
	}
	slices.Sort(names)
	return names, ok
}

// CategoriesOf returns the categories of a command, in Redis's order; none for
// a command that the catalogue does not know.
func (l *List) CategoriesOf(command string) []string {
	row, _ := commands.find(command)
	var names []string
	for _, name := range categoryNames {
		if slices.Contains(row.categories, name) {
			names = append(names, name)
		}
	}
	return names
}
