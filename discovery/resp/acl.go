package resp

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// aclCommands are the subcommands of ACL.
func aclCommands() command {
	const name = "<username>"
	return command{name: "acl", arity: -2, summary: "Ask about users and change them.", subs: []command{
		{name: "cat", arity: -2, usage: "[<category>]", summary: "List the categories of commands, or the commands of one.", run: withAccess(aclCat)},
		{name: "deluser", arity: -3, usage: name + " [<username> ...]", summary: "Delete users and end their connections.", run: withAccess(aclDelUser)},
		{name: "dryrun", arity: -4, usage: name + " <command> [<arg> ...]", summary: "Tell whether a user may run a command.", run: withAccess(aclDryRun)},
		{name: "genpass", arity: -2, usage: "[<bits>]", summary: "Make a random password, of 256 bits unless told otherwise.", run: aclGenPass},
		{name: "getuser", arity: 3, usage: name, summary: "Describe a user.", run: withAccess(aclGetUser)},
		{name: "help", arity: 2, summary: "Print this help.", run: help("acl")},
		{name: "list", arity: 2, summary: "Describe all users as in a configuration file.",
			run: withAccess(func(c *call, a Access) { c.strings(a.Lines()) })},
		{name: "load", arity: 2, summary: "Read the users from the file of users.", run: withAccess(aclLoad)},
		{name: "log", arity: -2, usage: "[<count> | RESET]", summary: "Tell what was denied to whom.", run: withAccess(aclLog)},
		{name: "save", arity: 2, summary: "Write the users to the file of users.", run: withAccess(aclSave)},
		{name: "setuser", arity: -3, usage: name + " [<rule> ...]", summary: "Make a user or change one.", run: withAccess(aclSetUser)},
		{name: "users", arity: 2, summary: "List the names of all users.",
			run: withAccess(func(c *call, a Access) { c.strings(a.Users()) })},
		{name: "whoami", arity: 2, summary: "Return the user of this connection.",
			run: func(c *call) { c.bulk(c.client.userName()) }},
	}}
}

// withAccess is for commands that make no sense without users.
func withAccess(run func(*call, Access)) func(*call) {
	return func(c *call) {
		if c.server.options.Access == nil {
			c.fail("ERR this server keeps no users: it knows only the password")
			return
		}
		run(c, c.server.options.Access)
	}
}

// strings answers an array of bulk strings.
func (c *call) strings(list []string) {
	c.array(len(list))
	c.bulks(list...)
}

// aclCat leaves out commands that are in a category but not served here.
func aclCat(c *call, a Access) {
	switch len(c.words) {
	case 2:
		c.strings(a.Categories())
	case 3:
		names, ok := a.InCategory(c.words[2])
		if !ok {
			c.fail("ERR Unknown category '%s'", clip(c.words[2], 128))
			return
		}
		c.strings(slices.DeleteFunc(names, func(name string) bool { return c.server.table.byName[name] == nil }))
	default:
		c.wrongUsage()
	}
}

func aclSetUser(c *call, a Access) {
	if err := a.SetUser(c.words[2], c.words[3:]); err != nil {
		c.fail("%s", "ERR "+err.Error())
		return
	}
	c.simple("OK")
	c.server.accessChanged(c.client)
}

func aclDelUser(c *call, a Access) {
	n, err := a.DeleteUsers(c.words[2:])
	if err != nil {
		c.fail("%s", "ERR "+err.Error())
		return
	}
	c.number(int64(n))
	c.server.accessChanged(c.client)
}

func aclLoad(c *call, a Access) {
	if err := a.Load(); err != nil {
		c.fail("%s", "ERR "+err.Error())
		return
	}
	c.simple("OK")
	c.server.accessChanged(c.client)
}

func aclSave(c *call, a Access) {
	if err := a.Save(); err != nil {
		c.fail("%s", "ERR "+err.Error())
		return
	}
	c.simple("OK")
}

func aclGetUser(c *call, a Access) {
	u, ok := a.User(c.words[2])
	if !ok {
		c.nilBulk()
		return
	}
	c.pairs(6)
	c.bulk("flags")
	c.set(len(u.Flags))
	c.bulks(u.Flags...)
	c.bulk("passwords")
	c.strings(u.Passwords)
	c.bulks("commands", u.Rules[0].Commands, "keys", u.Rules[0].Keys, "channels", u.Rules[0].Channels, "selectors")
	c.array(len(u.Rules) - 1)
	for _, s := range u.Rules[1:] {
		c.pairs(3)
		c.bulks("commands", s.Commands, "keys", s.Keys, "channels", s.Channels)
	}
}

// aclDryRun asks for another user; the command must be one that could be run.
func aclDryRun(c *call, a Access) {
	user, words := c.words[2], c.words[3:]
	if !a.Has(user) {
		c.fail("ERR User '%s' not found", clip(user, 128))
		return
	}
	cmd, name, problem := c.server.table.find(words)
	if problem != "" {
		c.fail("ERR Command '%s' not found", clip(words[0], 128))
		return
	}
	if !cmd.fits(len(words)) {
		c.fail("ERR wrong number of arguments for '%s' command", name)
		return
	}
	if d := a.Check(accessRequest(user, name, cmd, words)); d != (warden.Denial{}) {
		c.bulk(noRight(user, d))
		return
	}
	c.simple("OK")
}

func aclGenPass(c *call) {
	bits := int64(256)
	if len(c.words) > 3 {
		c.wrongUsage()
		return
	}
	if len(c.words) == 3 {
		n, ok := parseInt(c.words[2])
		if !ok {
			c.fail(notInteger)
			return
		}
		if n < 1 || n > 4096 {
			c.fail("ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096")
			return
		}
		bits = n
	}
	raw := make([]byte, (bits+7)/8)
	_, _ = rand.Read(raw) // it never fails
	c.bulk(hex.EncodeToString(raw)[:(bits+3)/4])
}

// defaultIncidents is how many are shown when no count is given.
const defaultIncidents = 10

func aclLog(c *call, a Access) {
	count := int64(defaultIncidents)
	switch {
	case len(c.words) > 3:
		c.wrongUsage()
		return
	case len(c.words) == 3 && strings.EqualFold(c.words[2], "reset"):
		a.ForgetIncidents()
		c.simple("OK")
		return
	case len(c.words) == 3:
		n, ok := parseInt(c.words[2])
		if !ok {
			c.fail(notInteger)
			return
		}
		count = min(max(n, 0), 1<<20)
	}
	list, now := a.Incidents(int(count)), time.Now().UnixMilli()
	c.array(len(list))
	for _, e := range list {
		c.pairs(10)
		c.bulk("count")
		c.number(e.Count)
		c.bulks("reason", string(e.Reason), "context", "toplevel", "object", e.Object, "username", e.User, "age-seconds")
		c.double(float64(max(now-e.Updated, 0)) / 1000)
		c.bulks("client-info", e.Client, "entry-id")
		c.number(e.ID)
		c.bulk("timestamp-created")
		c.number(e.Created)
		c.bulk("timestamp-last-updated")
		c.number(e.Updated)
	}
}

// double writes a number with a fraction: as text where there is no such type.
func (w *writer) double(f float64) {
	text := strconv.FormatFloat(f, 'g', 17, 64)
	if w.proto < 3 {
		w.bulk(text)
		return
	}
	w.buf = append(w.buf, ","+text+"\r\n"...)
}
