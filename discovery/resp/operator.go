package resp

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Status answers WARDEN STATUS.
type Status struct {
	Self   warden.SelfView    `json:"self"`
	Groups []warden.GroupView `json:"groups"`
}

// Explanation answers WARDEN EXPLAIN.
type Explanation struct {
	Group   warden.GroupName `json:"group"`
	Explain []string         `json:"explain"`
}

// ResetAnswers answers WARDEN RESET: one answer per group that matched.
type ResetAnswers struct {
	Groups []ResetAnswer `json:"groups"`
}

// ResetAnswer is how the reset of one group ended.
type ResetAnswer struct {
	Group warden.GroupName `json:"group"`
	warden.Answer
}

// EventLog answers WARDEN EVENTS. First and Last are the numbers of the oldest
// and newest event that are kept; a Last below a number seen before means that
// the Warden was restarted and has lost its newest events, or all.
type EventLog struct {
	Events []warden.EventRecord `json:"events"`
	First  int64                `json:"first"`
	Last   int64                `json:"last"`
}

// Version answers WARDEN VERSION.
type Version struct {
	Version string          `json:"version"`
	ID      warden.WardenID `json:"id"`
}

// wardenCommands are the subcommands of WARDEN, see the package comment.
func wardenCommands() []command {
	const group, change = "<group>", "<group> [TO <host:port>] [NOWAIT]"
	return []command{{name: "warden", arity: -2, summary: "Ask and order a Warden, in JSON.", subs: []command{
		{name: "config", arity: -4, usage: "GET <group> | SET <group> [REVISION <n>] <name>=<value> ... [UNSET <name> ...]",
			summary: "Return the settings in force, or have other ones agreed.", run: configure},
		{name: "drill", arity: 3, usage: group, summary: "Return what would happen if the primary died now.", run: simpleOrder(warden.WishDrill)},
		{name: "events", arity: -2, usage: "[<count>] | SINCE <seq> [<count>]", summary: "Return the last events.", run: showEvents},
		{name: "explain", arity: 3, usage: group, summary: "Return what is going on and why nothing more is.", run: explain},
		{name: "facts", arity: 2, summary: "Return what this process and its machine are like, for a doctor.", run: facts},
		{name: "failover", arity: -3, usage: change, summary: "Change the primary: without loss if it can be reached, else at once.", run: changePrimary(warden.WishFailover)},
		{name: "forget", arity: 4, usage: "<group> <warden-id>", summary: "Take a dead Warden off the list.", run: forget},
		{name: "help", arity: 2, summary: "Print this help.", run: help("warden")},
		{name: "pause", arity: 3, usage: group, summary: "Watch, but do nothing, until RESUME.", run: simpleOrder(warden.WishPause)},
		{name: "recover", arity: 5, usage: "<group> LOST <id[,id...]>", summary: "Go on without a majority that is lost for ever.", run: recoverGroup},
		{name: "release", arity: -3, usage: "<group> [GONE <host:port[,...]>]", summary: "Undo a seal without a majority.", run: releaseGroup},
		{name: "reports", arity: -3, usage: "<group> [<id> | <count>]", summary: "Return what became of the last changes of the primary.", run: showReports},
		{name: "reset", arity: 3, usage: "<pattern>", summary: "Forget what cannot be reached, in groups that match.", run: resetGroups},
		{name: "resume", arity: 3, usage: group, summary: "End a PAUSE.", run: simpleOrder(warden.WishResume)},
		{name: "status", arity: -2, usage: "[<group>]", summary: "Return this Warden and what it sees.", run: status},
		{name: "switchover", arity: -3, usage: change, summary: "Change the primary without loss, or not at all.", run: changePrimary(warden.WishSwitchover)},
		{name: "version", arity: 2, summary: "Return the version and id of this Warden.", run: version},
	}}}
}

// json answers with a value as one bulk string.
func (c *call) json(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		c.fail("ERR encode answer: %s", err)
		return
	}
	c.bulk(string(text))
}

func (c *call) noGroup(name string) {
	c.fail("ERR no group '%s' here: WARDEN STATUS lists them", clip(name, warden.MaxGroupName))
}

// group returns the view of the group that the third word names, or answers
// that there is none.
func (c *call) group() (warden.GroupView, bool) {
	v, ok := c.server.dir.Group(warden.GroupName(c.words[2]))
	if !ok {
		c.noGroup(c.words[2])
	}
	return v, ok
}

func status(c *call) {
	answer := Status{Self: c.server.dir.Self()}
	switch len(c.words) {
	case 2:
		answer.Groups = c.server.views()
	case 3:
		v, ok := c.group()
		if !ok {
			return
		}
		answer.Groups = []warden.GroupView{v}
	default:
		c.wrongArity()
		return
	}
	c.json(answer)
}

func explain(c *call) {
	v, ok := c.group()
	if !ok {
		return
	}
	lines := v.Explain
	if lines == nil {
		lines = []string{}
	}
	c.json(Explanation{Group: v.Name, Explain: lines})
}

func facts(c *call) {
	if c.server.options.Facts == nil {
		c.fail("ERR this Warden tells no facts: it is not run by the spineldb command")
		return
	}
	c.json(c.server.options.Facts())
}

func version(c *call) {
	c.json(Version{Version: c.server.options.Version, ID: c.server.dir.Self().ID})
}

// known reports whether the third word names a group, and answers if not.
func (c *call) known() bool {
	_, ok := c.server.dir.Primary(warden.GroupName(c.words[2]))
	if !ok {
		c.noGroup(c.words[2])
	}
	return ok
}

func simpleOrder(wish warden.Wish) func(*call) {
	return func(c *call) {
		if c.known() {
			c.json(c.order(warden.Command{Group: warden.GroupName(c.words[2]), Wish: wish}))
		}
	}
}

// changePrimary reads the options that FAILOVER and SWITCHOVER share.
func changePrimary(wish warden.Wish) func(*call) {
	return func(c *call) {
		cmd := warden.Command{Group: warden.GroupName(c.words[2]), Wish: wish, Wait: true}
		for rest := c.words[3:]; len(rest) > 0; {
			switch option := strings.ToLower(rest[0]); {
			case option == "to" && len(rest) > 1 && cmd.To == "":
				node, err := warden.ParseNode(rest[1])
				if err != nil {
					c.fail("ERR %s", err)
					return
				}
				cmd.To, rest = node, rest[2:]
			case option == "nowait":
				cmd.Wait, rest = false, rest[1:]
			default:
				c.fail("ERR syntax error at '%s': expected [TO host:port] [NOWAIT]", clip(rest[0], 128))
				return
			}
		}
		if c.known() {
			c.json(c.order(cmd))
		}
	}
}

func forget(c *call) {
	c.orderAbout(warden.WishForget, c.words[3])
}

func recoverGroup(c *call) {
	if !strings.EqualFold(c.words[3], "lost") {
		c.fail("ERR syntax error at '%s': expected LOST id,id", clip(c.words[3], 128))
		return
	}
	c.orderAbout(warden.WishRecover, strings.Split(c.words[4], ",")...)
}

func releaseGroup(c *call) {
	cmd := warden.Command{Group: warden.GroupName(c.words[2]), Wish: warden.WishRelease}
	switch rest := c.words[3:]; {
	case len(rest) == 0:
	case len(rest) == 2 && strings.EqualFold(rest[0], "gone"):
		for name := range strings.SplitSeq(rest[1], ",") {
			node, err := warden.ParseNode(name)
			if err != nil {
				c.fail("ERR %s", err)
				return
			}
			cmd.Gone = append(cmd.Gone, node)
		}
	default:
		c.fail("ERR syntax error at '%s': expected [GONE host:port,...]", clip(rest[0], 128))
		return
	}
	if c.known() {
		c.json(c.order(cmd))
	}
}

// orderAbout gives a command that names Wardens.
func (c *call) orderAbout(wish warden.Wish, names ...string) {
	var ids []warden.WardenID
	for _, name := range names {
		if !isWardenID(name) {
			c.fail("ERR '%s' is no Warden id (40 hexadecimal digits): WARDEN STATUS shows them", clip(name, 128))
			return
		}
		if id := warden.WardenID(name); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if c.known() {
		c.json(c.order(warden.Command{Group: warden.GroupName(c.words[2]), Wish: wish, Wardens: ids}))
	}
}

func isWardenID(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}

func resetGroups(c *call) {
	c.json(ResetAnswers{Groups: c.reset(c.words[2])})
}

const (
	// defaultEvents is how many events are shown when no count is given.
	defaultEvents = 100
	// mostEvents are shown in one answer, so that it fits into a client's queue.
	mostEvents = 5000
)

func showEvents(c *call) {
	rest := c.words[2:]
	since, fromEnd := int64(0), true
	if len(rest) > 0 && strings.EqualFold(rest[0], "since") {
		if len(rest) < 2 {
			c.wrongArity()
			return
		}
		n, err := strconv.ParseInt(rest[1], 10, 64)
		if err != nil || n < 0 {
			c.fail("ERR '%s' is no event number", clip(rest[1], 128))
			return
		}
		since, fromEnd, rest = n, false, rest[2:]
	}
	limit := defaultEvents
	if !fromEnd {
		limit = mostEvents
	}
	if len(rest) > 1 {
		c.wrongArity()
		return
	}
	if len(rest) == 1 {
		n, err := strconv.Atoi(rest[0])
		if err != nil || n < 1 {
			c.fail("ERR '%s' is no count: give a number from 1 on", clip(rest[0], 128))
			return
		}
		limit = min(n, mostEvents)
	}
	var log EventLog
	if fromEnd {
		log.Events, log.First, log.Last = c.server.hub.newest(limit)
	} else {
		log.Events, log.First, log.Last = c.server.hub.since(since, limit)
	}
	c.json(log)
}
