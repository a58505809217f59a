package resp

import (
	"slices"
	"strings"
)

// catalogCommands are the subcommands of COMMAND.
func catalogCommands() command {
	return command{name: "command", arity: -1, summary: "Describe the commands.", run: commandAll, subs: []command{
		{name: "count", arity: 2, summary: "Return how many commands there are.",
			run: func(c *call) { c.number(int64(len(c.server.table.rows))) }},
		{name: "docs", arity: -2, usage: "[<name> ...]", summary: "Return what commands are for.", run: commandDocs},
		{name: "getkeys", arity: -4, usage: "<command> [<arg> ...]", summary: "Return the keys in a command. None here has any.", run: commandKeys},
		{name: "getkeysandflags", arity: -4, usage: "<command> [<arg> ...]", summary: "Return the keys in a command. None here has any.", run: commandKeys},
		{name: "help", arity: 2, summary: "Print this help.", run: help("command")},
		{name: "info", arity: -2, usage: "[<name> ...]", summary: "Return the shape of commands.", run: commandInfo},
		{name: "list", arity: -2, usage: "[FILTERBY MODULE <name> | ACLCAT <category> | PATTERN <pattern>]",
			summary: "Return the names of all commands, or of some.", run: commandList},
	}}
}

// traits are what clients and access rules are told of a command.
type traits struct {
	group      string
	flags      []string
	categories []string // in Redis's order, without the "@"
	tips       []string
}

// categoryOrder is the order in which categories are shown.
var categoryOrder = []string{"pubsub", "admin", "fast", "slow", "dangerous", "connection"}

// traitsOf returns the traits of a command by its full name ("client|kill").
// They are Redis's for its commands; WARDEN is as SENTINEL.
func traitsOf(full string) traits {
	container, sub, _ := strings.Cut(full, "|")
	t := traits{group: container}
	flags, extra := "noscript loading stale", ""
	switch container {
	case "sentinel", "warden":
		flags = "admin"
	case "client":
		t.group, extra = "connection", "connection"
		if slices.Contains([]string{"kill", "list", "no-evict", "pause", "unblock", "unpause"}, sub) {
			flags = "admin " + flags
		}
		if sub == "list" || sub == "info" {
			t.tips = []string{"nondeterministic_output"}
		}
	case "acl":
		t.group = "server"
		if !slices.Contains([]string{"cat", "genpass", "help", "whoami"}, sub) {
			flags = "admin " + flags
		}
	case "command":
		t.group, flags, extra = "server", "loading stale", "connection"
		if slices.Contains([]string{"", "docs", "info", "list"}, sub) {
			t.tips = []string{"nondeterministic_output_order"}
		}
	case "auth", "hello", "quit":
		t.group, flags, extra = "connection", flags+" fast no_auth allow_busy", "connection"
	case "ping":
		t.group, flags, extra = "connection", "fast", "connection"
		t.tips = []string{"request_policy:all_shards", "response_policy:all_succeeded"}
	case "info":
		t.group, flags, extra = "server", "loading stale", "dangerous"
		t.tips = []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"}
	case "role":
		t.group, flags, extra = "server", flags+" fast", "admin dangerous"
	case "shutdown":
		t.group, flags = "server", "admin "+flags+" no_multi allow_busy"
	case "publish":
		t.group, flags = "pubsub", "pubsub loading stale fast"
	case "subscribe", "psubscribe", "unsubscribe", "punsubscribe":
		t.group, flags = "pubsub", "pubsub "+flags
	}
	switch {
	case sub == "help":
		flags = "loading stale"
	case (container == "client" || container == "acl") && sub == "":
		flags, extra = "", "" // the bare container does nothing
	}
	t.flags = strings.Fields(flags)
	t.categories = categoriesOf(t.flags, strings.Fields(extra))
	return t
}

// categoriesOf derives categories from flags, as Redis does.
func categoriesOf(flags, extra []string) []string {
	has := map[string]bool{"slow": true}
	for _, category := range extra {
		has[category] = true
	}
	for _, flag := range flags {
		switch flag {
		case "admin":
			has["admin"], has["dangerous"] = true, true
		case "pubsub":
			has["pubsub"] = true
		case "fast":
			has["fast"], has["slow"] = true, false
		}
	}
	return slices.DeleteFunc(slices.Clone(categoryOrder), func(c string) bool { return !has[c] })
}

func commandAll(c *call) {
	c.array(len(c.server.table.rows))
	for i := range c.server.table.rows {
		c.describe(&c.server.table.rows[i], "")
	}
}

func commandInfo(c *call) {
	if len(c.words) == 2 {
		commandAll(c)
		return
	}
	c.array(len(c.words) - 2)
	for _, word := range c.words[2:] {
		name := strings.ToLower(word)
		if cmd := c.server.table.byName[name]; cmd != nil {
			c.describe(cmd, name[:len(name)-len(cmd.name)])
			continue
		}
		c.nilBulk()
	}
}

// describe writes the ten elements of one command: name, arity, flags, no keys
// (three numbers), categories, tips, no key specifications, subcommands.
func (c *call) describe(cmd *command, prefix string) {
	t := traitsOf(prefix + cmd.name)
	c.array(10)
	c.bulk(prefix + cmd.name)
	c.number(int64(cmd.arity))
	c.set(len(t.flags))
	for _, flag := range t.flags {
		c.simple(flag)
	}
	for range 3 {
		c.number(0)
	}
	c.set(len(t.categories))
	for _, category := range t.categories {
		c.simple("@" + category)
	}
	c.set(len(t.tips))
	c.bulks(t.tips...)
	c.set(0)
	if len(cmd.subs) == 0 {
		c.set(0)
		return
	}
	c.array(len(cmd.subs))
	for i := range cmd.subs {
		c.describe(&cmd.subs[i], cmd.name+"|")
	}
}

func commandDocs(c *call) {
	var names []string
	if len(c.words) == 2 {
		for _, row := range c.server.table.rows {
			names = append(names, row.name)
		}
	}
	for _, word := range c.words[2:] {
		if name := strings.ToLower(word); c.server.table.byName[name] != nil {
			names = append(names, name)
		}
	}
	c.pairs(len(names))
	for _, name := range names {
		c.bulk(name)
		c.document(name, c.server.table.byName[name])
	}
}

func (c *call) document(full string, cmd *command) {
	pairs := 2
	if len(cmd.subs) > 0 {
		pairs++
	}
	c.pairs(pairs)
	c.bulks("summary", cmd.summary, "group", traitsOf(full).group)
	if len(cmd.subs) == 0 {
		return
	}
	c.bulk("subcommands")
	c.pairs(len(cmd.subs))
	for i := range cmd.subs {
		name := full + "|" + cmd.subs[i].name
		c.bulk(name)
		c.document(name, &cmd.subs[i])
	}
}

// commandList names commands and subcommands, sorted.
func commandList(c *call) {
	fits := func(string) bool { return true }
	if len(c.words) > 2 {
		if len(c.words) != 5 || !strings.EqualFold(c.words[2], "filterby") {
			c.syntaxError()
			return
		}
		value := strings.ToLower(c.words[4])
		switch strings.ToLower(c.words[3]) {
		case "module":
			fits = func(string) bool { return false } // there are none
		case "aclcat":
			fits = func(name string) bool { return slices.Contains(traitsOf(name).categories, value) }
		case "pattern":
			fits = func(name string) bool { return matchGlob(value, name) }
		default:
			c.syntaxError()
			return
		}
	}
	var names []string
	for name := range c.server.table.byName {
		if fits(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	c.array(len(names))
	c.bulks(names...)
}

// commandKeys finds no keys: a monitor has none.
func commandKeys(c *call) {
	if _, _, problem := c.server.table.find(c.words[2:]); problem != "" {
		c.fail("ERR Invalid command specified")
		return
	}
	c.fail("ERR The command has no key arguments")
}
