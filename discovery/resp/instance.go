package resp

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// field is one line of an instance map. Values are text, numbers included:
// several clients fail on anything else.
type field struct{ name, value string }

func (w *writer) instance(fields []field) {
	w.pairs(len(fields))
	for _, f := range fields {
		w.bulk(f.name)
		w.bulk(f.value)
	}
}

func ms(d warden.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// age prints an age in milliseconds; negative is "never", which Sentinel counts
// from the start of its watch.
func age(d, watched warden.Duration) string {
	if d < 0 {
		d = watched
	}
	return ms(d)
}

func count(n int) string { return strconv.Itoa(n) }

// address is the host and port of a node as clients get it: IPv6 without
// brackets; an empty host and port 0 for none.
func address(n warden.NodeID) (host, port string) { return n.Host(), n.Port() }

// primaryNode is the view of the served primary. Before it was ever looked at,
// and when none is served, all that is known is that nothing is.
func primaryNode(v warden.GroupView) warden.NodeView {
	for _, n := range v.Nodes {
		if n.Node == v.Primary && n.Node != "" {
			return n
		}
	}
	return warden.NodeView{
		Node: v.Primary, Primary: true, ObservedAgo: -1, GoodAgo: -1, AnsweredAgo: -1,
		Disconnected: true,
		// Without an address nothing may be used: every client heeds s_down.
		Down: v.Primary == "",
	}
}

// primaryStatus is the status of INFO's master lines.
func primaryStatus(v warden.GroupView) string {
	switch n := primaryNode(v); {
	case n.Odown:
		return "odown"
	case n.Down:
		return "sdown"
	}
	return "ok"
}

// replicas are all nodes that count as replicas: everything but the primary
// and what carries foreign data.
func replicas(v warden.GroupView) []warden.NodeView {
	var list []warden.NodeView
	for _, n := range v.Nodes {
		if n.Node != v.Primary && n.Node != "" && !n.Foreign {
			list = append(list, n)
		}
	}
	return list
}

// listable are the replicas a client may be sent to (or see as down). A live
// node that calls itself a primary is one that returned and was not demoted
// yet: reads there would see another history.
func listable(v warden.GroupView) []warden.NodeView {
	var list []warden.NodeView
	for _, n := range replicas(v) {
		host, port := address(n.Node)
		deposed := !n.Down && n.Observation.Role == warden.RolePrimary
		if host != "" && port != "0" && !n.Observation.Unannounced && !deposed {
			list = append(list, n)
		}
	}
	return list
}

// when is a flag if it is on.
func when(on bool, flag string) string {
	if on {
		return flag
	}
	return ""
}

// flags joins those that are on. The order is the one Sentinel fixed.
func flags(list ...string) string {
	return strings.Join(slices.DeleteFunc(list, func(f string) bool { return f == "" }), ",")
}

// switching reports whether the failover has not chosen its primary yet. While
// the replicas are only brought behind the new primary, that primary serves,
// and node-redis would refuse it for the flag.
func switching(v warden.GroupView) bool {
	return v.Failover != "" && v.Failover != "reconf_slaves" && v.Failover != "update_config"
}

// head are the fields that come first in every map. shared is in how many groups
// the link is used.
func head(name string, n warden.NodeView, flags string, shared int) []field {
	host, port := address(n.Node)
	pending := 0
	if n.WaitingFor > 0 {
		pending = 1
	}
	return []field{
		{"name", name},
		{"ip", host},
		{"port", port},
		{"runid", n.Observation.RunID},
		{"flags", flags},
		{"link-pending-commands", count(pending)},
		{"link-refcount", count(max(shared, 1))},
	}
}

// pings are the fields about looks and states that follow the head.
func pings(v warden.GroupView, n warden.NodeView, watched warden.Duration) []field {
	list := []field{
		{"last-ping-sent", ms(max(n.WaitingFor, 0))},
		{"last-ok-ping-reply", age(n.GoodAgo, watched)},
		{"last-ping-reply", age(n.AnsweredAgo, watched)},
	}
	if n.Down {
		list = append(list, field{"s-down-time", ms(max(n.DownAgo, 0))})
	}
	if n.Odown {
		list = append(list, field{"o-down-time", ms(max(n.OdownAgo, 0))})
	}
	return append(list, field{"down-after-milliseconds", ms(v.DownAfter)})
}

// reported are the fields about what a node says of itself.
func reported(n warden.NodeView, expected warden.Role) []field {
	role := expected
	if n.Observation.Role != "" {
		role = n.Observation.Role
	}
	word := "slave"
	if role == warden.RolePrimary {
		word = "master"
	}
	return []field{
		{"info-refresh", ms(max(n.ObservedAgo, 0))},
		{"role-reported", word},
		{"role-reported-time", ms(max(n.RoleFor, 0))},
	}
}

func primaryFields(v warden.GroupView, set GroupSettings, watched warden.Duration) []field {
	n := primaryNode(v)
	list := head(string(v.Name), n, flags(
		when(n.Down, "s_down"), when(n.Odown, "o_down"), "master", when(n.Disconnected, "disconnected"),
		when(switching(v), "failover_in_progress"), when(switching(v) && v.Forced, "force_failover"),
		when(n.ScriptKilled, "script_kill_sent"), when(n.Rebooted, "master_reboot")), 1)
	if v.Failover != "" {
		list = append(list, field{"failover-state", v.Failover})
	}
	list = append(list, pings(v, n, watched)...)
	list = append(list, reported(n, warden.RolePrimary)...)
	list = append(list,
		field{"config-epoch", strconv.FormatUint(uint64(v.Topology.Epoch), 10)},
		field{"num-slaves", count(len(replicas(v)))},
		field{"num-other-sentinels", count(len(v.Peers))},
		field{"quorum", count(v.Quorum)},
		field{"failover-timeout", ms(v.FailoverTimeout)},
		field{"parallel-syncs", count(v.ParallelSyncs)},
	)
	if set.NotificationScript != "" {
		list = append(list, field{"notification-script", set.NotificationScript})
	}
	if set.ReconfigScript != "" {
		list = append(list, field{"client-reconfig-script", set.ReconfigScript})
	}
	return list
}

func replicaFields(v warden.GroupView, n warden.NodeView, watched warden.Duration) []field {
	o := n.Observation
	list := head(string(n.Node), n, flags(
		when(n.Down, "s_down"), "slave", when(n.Disconnected, "disconnected"), when(n.Promoted, "promoted"),
		when(n.Reconfiguring == "sent", "reconf_sent"), when(n.Reconfiguring == "inprog", "reconf_inprog"),
		when(n.Reconfiguring == "done", "reconf_done"), when(n.ScriptKilled, "script_kill_sent")), 1)
	// A replica has no ODOWN, whatever the view says.
	n.Odown = false
	list = append(list, pings(v, n, watched)...)
	list = append(list, reported(n, warden.RoleReplica)...)
	down, status := ms(o.LinkDown), "err"
	switch {
	case o.LinkUp:
		down, status = "0", "ok"
	case o.LinkDown < 0:
		down = "-1000"
	}
	host, port := "?", "0"
	if o.Upstream != "" {
		host, port = address(o.Upstream)
	}
	priority := o.Priority
	if !o.Health.Alive() {
		priority = 100 // it did not say: the protocol's default, for 0 would exclude it
	}
	return append(list,
		field{"master-link-down-time", down},
		field{"master-link-status", status},
		field{"master-host", host},
		field{"master-port", port},
		field{"slave-priority", count(priority)},
		field{"slave-repl-offset", strconv.FormatInt(o.Position, 10)},
		field{"replica-announced", "1"},
	)
}

// shownSelf is the id under which clients know this Warden.
func shownSelf(self warden.SelfView) string { return cmp.Or(self.Sentinel, string(self.ID)) }

// shownPeer is the id under which clients know another one.
func shownPeer(p warden.PeerView) string { return cmp.Or(p.Sentinel, string(p.ID)) }

// shownVote is the id under which clients know whom a peer voted for.
func shownVote(v warden.GroupView, vote warden.WardenID, self warden.SelfView) string {
	if vote == self.ID && vote != "" {
		return shownSelf(self)
	}
	for _, p := range v.Peers {
		if p.ID == vote && vote != "" {
			return shownPeer(p)
		}
	}
	return cmp.Or(string(vote), "?")
}

// outlook is from where peers are described.
type outlook struct {
	self    warden.SelfView
	watched warden.Duration
	links   map[string]int // see linkCounts
}

// peerFields describes another Warden or a real Sentinel; false if clients
// could not dial it.
func peerFields(v warden.GroupView, p warden.PeerView, from outlook) ([]field, bool) {
	node, err := warden.ParseNode(p.Client)
	if err != nil {
		return nil, false
	}
	if a, err := netip.ParseAddr(node.Host()); err == nil && a.IsUnspecified() {
		return nil, false // "every address of that host" is no address
	}
	heard := warden.NodeView{
		Node: node, Down: p.Down, DownAgo: p.DownAgo, GoodAgo: p.HeardAgo, AnsweredAgo: p.HeardAgo,
		Observation: warden.Observation{RunID: shownPeer(p)},
	}
	if p.Down {
		heard.WaitingFor = max(p.HeardAgo, 0)
	}
	list := head(shownPeer(p), heard, flags(
		when(p.Down, "s_down"), "sentinel", when(p.Down || p.HeardAgo < 0, "disconnected"), when(p.SaysDown, "master_down")), from.links[linkOf(p)])
	list = append(list, pings(v, heard, from.watched)...)
	return append(list,
		field{"last-hello-message", age(p.HeardAgo, from.watched)},
		field{"voted-leader", shownVote(v, p.Vote, from.self)},
		field{"voted-leader-epoch", strconv.FormatUint(uint64(p.VoteEpoch), 10)},
	), true
}
