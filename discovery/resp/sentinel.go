package resp

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// sentinelCommands are the subcommands of SENTINEL, old and new names.
func sentinelCommands() []command {
	const name, glob = "<primary-name>", "<pattern>"
	const ask = "<host> <port> <epoch> <id|*>"
	subs := []command{
		{name: "ckquorum", arity: 3, usage: name, summary: "Check whether a failover could be agreed on now.", run: ckquorum},
		{name: "failover", arity: -3, usage: name + " [COORDINATED]", summary: "Start a failover; COORDINATED: without loss or not at all.", run: sentinelFailover},
		{name: "get-master-addr-by-name", arity: 3, quick: true, usage: name, summary: "Return the address of the primary.", run: primaryAddress},
		{name: "get-primary-addr-by-name", arity: 3, quick: true, usage: name, summary: "Return the address of the primary.", run: primaryAddress},
		{name: "help", arity: 2, summary: "Print this help.", run: help("sentinel")},
		{name: "info-cache", arity: -3, usage: name + " [<primary-name> ...]", summary: "Return what the nodes last told of themselves.", run: infoCache},
		{name: "is-master-down-by-addr", arity: 6, usage: ask, summary: "Tell another Sentinel whether that primary is down here.", run: primaryDown},
		{name: "is-primary-down-by-addr", arity: 6, usage: ask, summary: "Tell another Sentinel whether that primary is down here.", run: primaryDown},
		{name: "master", arity: 3, usage: name, summary: "Describe a primary.", run: showPrimary},
		{name: "masters", arity: 2, summary: "Describe all primaries.", run: showPrimaries},
		{name: "myid", arity: 2, quick: true, summary: "Return the id of this Warden.", run: func(c *call) { c.bulk(shownSelf(c.server.dir.Self())) }},
		{name: "primaries", arity: 2, summary: "Describe all primaries.", run: showPrimaries},
		{name: "primary", arity: 3, usage: name, summary: "Describe a primary.", run: showPrimary},
		{name: "replicas", arity: 3, usage: name, summary: "Describe the replicas of a primary.", run: showReplicas},
		{name: "reset", arity: 3, usage: glob, summary: "Forget what cannot be reached, in groups that match.", run: sentinelReset},
		{name: "sentinels", arity: 3, usage: name, summary: "Describe the other Wardens and Sentinels of a primary.", run: showPeers},
		{name: "slaves", arity: 3, usage: name, summary: "Describe the replicas of a primary.", run: showReplicas},
	}
	return []command{{name: "sentinel", arity: -2, summary: "Ask about groups, and give orders.", subs: append(subs, settingCommands()...)}}
}

// settingCommands are the subcommands of SENTINEL that change this one Warden.
func settingCommands() []command {
	return []command{
		{name: "config", arity: -4, usage: "GET <pattern> [<pattern> ...] | SET <param> <value> [<param> <value> ...]",
			summary: "Show or change what holds for all groups.", run: sentinelConfig},
		{name: "debug", arity: -2, usage: "[<timer> <milliseconds> ...]", summary: "Show or change timers, until the next start.", run: sentinelDebug},
		{name: "flushconfig", arity: 2, summary: "Write the configuration to disk.", run: flushConfig},
		{name: "monitor", arity: 6, usage: "<name> <host> <port> <quorum>", summary: "Begin to watch a group.", run: monitor},
		{name: "pending-scripts", arity: 2, summary: "Return the scripts that run or wait.", run: pendingScripts},
		{name: "remove", arity: 3, usage: "<primary-name>", summary: "End the watch on a group.", run: removeGroup},
		{name: "set", arity: -5, usage: "<primary-name> <option> <value> [<option> <value> ...]",
			summary: "Change options of a group: all of them, or none.", run: setGroup},
		{name: "simulate-failure", arity: -3, usage: "[CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]",
			summary: "Exit with status 99 at a point of the next failover.", run: simulateFailure},
	}
}

const unknownPrimary = "ERR No such master with that name"

// maxWait bounds how long a client may wait for a change to finish.
const maxWait = 10 * time.Minute

// view returns the view of the group that the third word names, or answers
// that there is none.
func (c *call) view() (warden.GroupView, bool) {
	v, ok := c.server.dir.Group(warden.GroupName(c.words[2]))
	if !ok {
		c.fail(unknownPrimary)
	}
	return v, ok
}

// watched is for how long this Warden has been watching at all.
func (c *call) watched() warden.Duration {
	return max(c.server.dir.Now().Sub(c.server.dir.Self().Started), 0)
}

// settings are those of a group; zero when nobody knows them.
func (c *call) settings(g warden.GroupName) GroupSettings {
	if s := c.server.options.Steward; s != nil {
		return s.Settings(g)
	}
	return GroupSettings{}
}

func primaryAddress(c *call) {
	node, known := c.server.dir.Primary(warden.GroupName(c.words[2]))
	if !known || node == "" {
		// Not an error and not an empty array: clients try the next Warden on
		// nil, and some crash on the others.
		c.nilArray()
		return
	}
	host, port := address(node)
	c.array(2)
	c.bulks(host, port)
}

func showPrimary(c *call) {
	if v, ok := c.view(); ok {
		c.instance(primaryFields(v, c.settings(v.Name), c.watched()))
	}
}

func showPrimaries(c *call) {
	views, watched := c.server.views(), c.watched()
	c.array(len(views))
	for _, v := range views {
		c.instance(primaryFields(v, c.settings(v.Name), watched))
	}
}

func showReplicas(c *call) {
	v, ok := c.view()
	if !ok {
		return
	}
	list, watched := listable(v), c.watched()
	c.array(len(list))
	for _, n := range list {
		c.instance(replicaFields(v, n, watched))
	}
}

func showPeers(c *call) {
	v, ok := c.view()
	if !ok {
		return
	}
	var list [][]field
	from := outlook{self: c.server.dir.Self(), watched: c.watched(), links: c.server.linkCounts()}
	for _, p := range v.Peers {
		if fields, ok := peerFields(v, p, from); ok {
			list = append(list, fields)
		}
	}
	c.array(len(list))
	for _, fields := range list {
		c.instance(fields)
	}
}

// voters counts the Wardens whose vote counts in the group and those of them
// that could give it now. With an agreement the list in it is what counts, as
// in an election; before, and while real Sentinels decide, it is everybody this
// Warden knows.
func voters(v warden.GroupView, self warden.WardenID) (usable, all int) {
	everybody := unlisted(v)
	counts := func(id warden.WardenID) bool { return everybody || v.Topology.Lists(id) }
	if counts(self) && !v.Mute {
		usable++
	}
	for _, p := range v.Peers {
		if counts(p.ID) && !p.Down {
			usable++
		}
	}
	if everybody {
		return usable, 1 + len(v.Peers)
	}
	return usable, len(v.Topology.Wardens)
}

// unlisted reports whether no agreed list says whose vote counts.
func unlisted(v warden.GroupView) bool {
	return v.Topology.IsZero() || slices.ContainsFunc(v.Peers, func(p warden.PeerView) bool { return p.Real })
}

func ckquorum(c *call) {
	v, ok := c.view()
	if !ok {
		return
	}
	usable, all := voters(v, c.server.dir.Self().ID)
	reason := ""
	if usable < v.Quorum {
		reason = "Not enough available Sentinels to reach the specified quorum for this master"
	}
	// A Warden that has not heard a majority lately is in a minority, even
	// before it holds any single peer for down.
	if usable < all/2+1 || !unlisted(v) && !v.Agreed {
		if reason != "" {
			reason += ". "
		}
		reason += "Not enough available Sentinels to reach the majority and authorize a failover"
	}
	if reason != "" {
		c.fail("NOQUORUM %d usable Sentinels. %s", usable, reason)
		return
	}
	c.simple(fmt.Sprintf("OK %d usable Sentinels. Quorum and failover authorization can be reached", usable))
}

// order brings an operator's command to the Directory, with a deadline.
func (c *call) order(cmd warden.Command) warden.Answer {
	limit := c.server.options.CommandTimeout
	if cmd.Wait {
		if v, ok := c.server.dir.Group(cmd.Group); ok {
			limit += min(time.Duration(max(v.FailoverTimeout, 0)), maxWait)
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, limit)
	defer cancel()
	c.server.log.Info("operator command", "command", c.name, "group", string(cmd.Group), "client", c.client.conn.RemoteAddr().String())
	return c.server.dir.Command(ctx, cmd)
}

// sentinelFailover starts a failover. Every one is coordinated with the primary
// if that can be reached; with COORDINATED nothing is done when it cannot.
func sentinelFailover(c *call) {
	if len(c.words) > 4 {
		c.wrongArity()
		return
	}
	cmd := warden.Command{Group: warden.GroupName(c.words[2]), Wish: warden.WishFailover}
	if !c.monitored() {
		return
	}
	if len(c.words) == 4 {
		if !strings.EqualFold(c.words[3], "coordinated") {
			c.fail("ERR Unknown failover option specified")
			return
		}
		cmd.Wish = warden.WishSwitchover
	}
	a := c.order(cmd)
	text := a.Text
	if text == "" {
		text = fmt.Sprintf("failover %s %s", a.Verdict, a.Code)
	}
	switch {
	case a.Verdict == warden.VerdictStarted || a.Verdict == warden.VerdictDone:
		c.simple("OK")
	case a.Code == "unknown-group":
		c.fail(unknownPrimary)
	case a.Code == "in-progress":
		c.fail("INPROG Failover already in progress")
	case a.Code == "no-good-replica" || a.Code == "pre-promote":
		c.fail("NOGOODSLAVE No suitable replica to promote")
	case a.Code == "no-primary" || a.Code == "cannot-hold":
		c.fail("NOGOODPRIMARY %s", text)
	default:
		c.fail("ERR %s", text)
	}
}

func sentinelReset(c *call) {
	c.number(int64(len(c.reset(c.words[2]))))
}

// reset resets every group whose name matches, all within one deadline.
func (c *call) reset(glob string) []ResetAnswer {
	var cancel context.CancelFunc
	c.ctx, cancel = context.WithTimeout(c.ctx, c.server.options.CommandTimeout)
	defer cancel()
	answers := []ResetAnswer{}
	for _, g := range c.server.dir.Groups() {
		if matchGlob(glob, string(g)) {
			answers = append(answers, ResetAnswer{Group: g, Answer: c.order(warden.Command{Group: g, Wish: warden.WishReset})})
		}
	}
	return answers
}
