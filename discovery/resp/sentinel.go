package resp

import (
	"context"
	"fmt"
	"time"

	"github.com/spineldb/warden/warden"
)

// sentinelCommands are the subcommands of SENTINEL, old and new names.
func sentinelCommands() []command {
	const name, glob = "<primary-name>", "<pattern>"
	return []command{{name: "sentinel", arity: -2, summary: "Ask about groups, and give orders.", subs: []command{
		{name: "ckquorum", arity: 3, usage: name, summary: "Check whether a failover could be agreed on now.", run: ckquorum},
		{name: "failover", arity: 3, usage: name, summary: "Start a failover.", run: sentinelFailover},
		{name: "get-master-addr-by-name", arity: 3, usage: name, summary: "Return the address of the primary.", run: primaryAddress},
		{name: "get-primary-addr-by-name", arity: 3, usage: name, summary: "Return the address of the primary.", run: primaryAddress},
		{name: "help", arity: 2, summary: "Print this help.", run: help("sentinel")},
		{name: "master", arity: 3, usage: name, summary: "Describe a primary.", run: showPrimary},
		{name: "masters", arity: 2, summary: "Describe all primaries.", run: showPrimaries},
		{name: "myid", arity: 2, summary: "Return the id of this Warden.",
			run: func(c *call) { c.bulk(string(c.server.dir.Self().ID)) }},
		{name: "primaries", arity: 2, summary: "Describe all primaries.", run: showPrimaries},
		{name: "primary", arity: 3, usage: name, summary: "Describe a primary.", run: showPrimary},
		{name: "replicas", arity: 3, usage: name, summary: "Describe the replicas of a primary.", run: showReplicas},
		{name: "reset", arity: 3, usage: glob, summary: "Forget what cannot be reached, in groups that match.", run: sentinelReset},
		{name: "sentinels", arity: 3, usage: name, summary: "Describe the other Wardens of a primary.", run: showPeers},
		{name: "slaves", arity: 3, usage: name, summary: "Describe the replicas of a primary.", run: showReplicas},
	}}}
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
		c.instance(primaryFields(v, c.watched()))
	}
}

func showPrimaries(c *call) {
	views, watched := c.server.views(), c.watched()
	c.array(len(views))
	for _, v := range views {
		c.instance(primaryFields(v, watched))
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
	watched := c.watched()
	for _, p := range v.Peers {
		if fields, ok := peerFields(v, p, watched); ok {
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
// in an election; before, it is everybody this Warden knows.
func voters(v warden.GroupView, self warden.WardenID) (usable, all int) {
	listed := func(id warden.WardenID) bool { return v.Topology.IsZero() || v.Topology.Lists(id) }
	if listed(self) && !v.Mute {
		usable++
	}
	for _, p := range v.Peers {
		if listed(p.ID) && !p.Down {
			usable++
		}
	}
	if v.Topology.IsZero() {
		return usable, 1 + len(v.Peers)
	}
	return usable, len(v.Topology.Wardens)
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
	if usable < all/2+1 || !v.Topology.IsZero() && !v.Agreed {
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

func sentinelFailover(c *call) {
	if _, known := c.server.dir.Primary(warden.GroupName(c.words[2])); !known {
		c.fail(unknownPrimary)
		return
	}
	a := c.order(warden.Command{Group: warden.GroupName(c.words[2]), Wish: warden.WishFailover})
	switch {
	case a.Verdict == warden.VerdictStarted || a.Verdict == warden.VerdictDone:
		c.simple("OK")
	case a.Code == "unknown-group":
		c.fail(unknownPrimary)
	case a.Code == "in-progress":
		c.fail("INPROG Failover already in progress")
	case a.Code == "no-good-replica":
		c.fail("NOGOODSLAVE No suitable replica to promote")
	case a.Text == "":
		c.fail("ERR failover %s %s", a.Verdict, a.Code)
	default:
		c.fail("ERR %s", a.Text)
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
