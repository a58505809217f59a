package metrics

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// group adds what is known of a group as a whole.
func (k *kinds) group() {
	g := &k.groups
	type view = *warden.GroupView
	g.flag("agreed", "1 while this Warden hears a majority of the listed Wardens; what a Warden shows without it may be old.", func(v view) bool { return v.Agreed })
	g.maybe("agreed_age_seconds", "Time since a majority of the listed Wardens was heard last.", func(v view) (float64, bool) { return since(v.HeardAgo) })
	g.flag("provisional", "1 until the Wardens have agreed on a primary for the first time.", func(v view) bool { return v.Provisional })
	g.flag("has_primary", "1 while this Warden names a primary to clients.", func(v view) bool { return v.Primary != "" })
	g.number("quorum", "Wardens that must find the primary down before a failover.", func(v view) float64 { return float64(v.Quorum) })
	g.number("down_opinions", "Wardens that find the primary down now, as far as this one knows.", func(v view) float64 {
		agreeing := 0
		for _, n := range v.Nodes {
			agreeing = max(agreeing, n.Agreeing)
		}
		return float64(agreeing)
	})
	g.number("wardens_listed", "Wardens that vote in the group.", func(v view) float64 { return float64(len(v.Topology.Wardens)) })
	g.number("wardens_heard", "Listed Wardens that are heard now, this one included if it is listed.", func(v view) float64 { return float64(heard(v)) })
	g.number("wardens_silent", "Listed Wardens that are not heard now.", func(v view) float64 { return float64(len(v.Topology.Wardens) - heard(v)) })
	g.number("wardens_needed", "Listed Wardens that must be heard for a failover: a majority of them, and the quorum.", func(v view) float64 {
		return float64(max(v.Topology.Majority(), v.Quorum))
	})
	g.number("sentinels", "Real Redis Sentinels that watch the group too; while there are any they decide.", func(v view) float64 {
		n := 0
		for _, p := range v.Peers {
			n += int(flag(p.Real))
		}
		return float64(n)
	})
	g.flag("failover_possible", "1 while enough Wardens are heard for an election and nothing keeps this Warden from taking part.", possible)
	g.number("epoch", "Epoch of the agreed topology.", func(v view) float64 { return float64(v.Topology.Epoch) })
	g.number("topology_step", "Step of the agreed topology within its epoch.", func(v view) float64 { return float64(v.Topology.Step) })
	g.number("promised_epoch", "Highest epoch that this Warden has voted for, stood in or accepted in.", func(v view) float64 { return float64(v.Promise) })
	g.flag("change_unfinished", "1 while the agreed topology is one of a change that is not done.", func(v view) bool {
		return !v.Topology.IsZero() && v.Topology.Phase != warden.PhaseDone
	})
	g.maybe("moved_age_seconds", "Time since this process learned of another primary.", func(v view) (float64, bool) { return since(v.MovedAgo) })
	g.flag("leading", "1 while this Warden leads the group.", func(v view) bool { return v.Leading })
	g.flag("failover_running", "1 while this Warden moves the primary.", func(v view) bool { return v.Failover != "" })
	g.flag("paused", "1 while an operator has paused the group: watched, and nothing is done.", func(v view) bool { return v.Paused })
	g.flag("tilt", "1 while this Warden distrusts its clock and has no opinions.", func(v view) bool { return v.Tilt })
	g.flag("mute", "1 while this Warden's store cannot be written, so that it neither votes nor leads.", func(v view) bool { return v.Mute })
	g.number("down_after_seconds", "Silence after which a node is down.", func(v view) float64 { return seconds(v.DownAfter) })
	g.number("failover_timeout_seconds", "Time after which an attempt ends.", func(v view) float64 { return seconds(v.FailoverTimeout) })
	g.number("settings_changed", "Settings that were changed at run time and differ from the configuration file.", func(v view) float64 { return float64(len(v.SetAtRunTime)) })
}

// heard is how many of the listed Wardens are heard, this one included.
func heard(v *warden.GroupView) int {
	n := len(v.Topology.Wardens)
	for _, p := range v.Peers {
		if p.Listed && p.Down {
			n--
		}
	}
	return n
}

// possible reports whether a failover could be agreed with this Warden's help.
func possible(v *warden.GroupView) bool {
	n, t := heard(v), &v.Topology
	return !t.IsZero() && n >= t.Majority() && n >= v.Quorum && !v.Paused && !v.Tilt && !v.Mute &&
		!slices.ContainsFunc(v.Peers, func(p warden.PeerView) bool { return p.Real })
}

// sync adds what is known of quorum durability, in groups that have it.
func (k *kinds) sync() {
	type view = *warden.GroupView
	set := func(read func(warden.SyncSet) float64) func(view) (float64, bool) {
		return func(v view) (float64, bool) { return read(v.Topology.NewestSync()), len(v.Topology.Sync) > 0 }
	}
	k.groups.maybe("sync_required", "Members of the sync set that must have a commit before it is acknowledged; 0: the primary alone has it. Groups with quorum durability only.",
		set(func(s warden.SyncSet) float64 { return float64(s.K) }))
	k.groups.maybe("sync_members", "Members of the sync set. Groups with quorum durability only.",
		set(func(s warden.SyncSet) float64 { return float64(len(s.Members)) }))
	k.groups.maybe("sync_members_streaming", "Members of the sync set that stream from the primary now, as far as this Warden knows.", func(v view) (float64, bool) {
		n := 0
		for _, at := range v.Nodes {
			if !at.Primary && v.Topology.NewestSync().Name(at.Node) != "" && at.Observation.Health == warden.HealthGood && at.Observation.LinkUp {
				n++
			}
		}
		return float64(n), len(v.Topology.Sync) > 0
	})
	k.groups.maybe("sync_changing", "1 while the sync set is being changed.", func(v view) (float64, bool) {
		return flag(len(v.Topology.Sync) > 1), len(v.Topology.Sync) > 0
	})
}

// node adds what is known of a node: what it is, and whether it is well.
func (k *kinds) node() {
	n := &k.nodes
	n.flag("is_primary", "1 for the node that is named to clients as the primary.", func(n nodeOf) bool { return n.Primary })
	n.maybe("says_primary", "1 if the node itself says that it is a primary, 0 if it says it is a replica.", func(n nodeOf) (float64, bool) {
		return flag(n.Observation.Role == warden.RolePrimary), n.Observation.Role != ""
	})
	n.flag("up", "1 while the newest look at the node was good.", func(n nodeOf) bool { return n.Observation.Health == warden.HealthGood })
	n.flag("sdown", "1 while this Warden finds the node down.", func(n nodeOf) bool { return n.Down })
	n.flag("odown", "1 while enough Wardens find the primary down.", func(n nodeOf) bool { return n.Odown })
	n.flag("denied", "1 while the node refuses this Warden's credentials.", func(n nodeOf) bool { return n.Observation.Health == warden.HealthDenied })
	n.flag("loading", "1 while the node is alive and not ready.", func(n nodeOf) bool { return n.Observation.Health == warden.HealthLoading })
	n.flag("takes_writes", "1 while the node says that it is a primary, answers well, and is not held or fenced.", func(n nodeOf) bool {
		o := &n.Observation
		return o.Health == warden.HealthGood && o.Role == warden.RolePrimary && !o.ReadOnly
	})
	n.flag("foreign", "1 while the node holds data that is not the group's, and is left alone.", func(n nodeOf) bool { return n.Foreign })
	n.flag("needs_rejoin", "1 while no order can bring the node behind the primary.", func(n nodeOf) bool { return n.Stranded })
	n.flag("sealed", "1 while the node receives from nobody, by a Warden's order.", func(n nodeOf) bool { return n.Observation.Sealed })
	n.maybe("priority", "The operator's preference, lower first; 0 excludes.", func(n nodeOf) (float64, bool) {
		return float64(n.Observation.Priority), n.Observation.Role != ""
	})
	n.maybe("observed_age_seconds", "Time since the newest look that told the state of the node.", func(n nodeOf) (float64, bool) { return since(n.ObservedAgo) })
	n.maybe("good_age_seconds", "Time since the node's last good answer.", func(n nodeOf) (float64, bool) { return since(n.GoodAgo) })
}

// replication adds where a node's data stands.
func (k *kinds) replication() {
	n := &k.nodes
	replica := func(n nodeOf) bool { return n.Observation.Role == warden.RoleReplica }
	n.maybe("position_bytes", "The node's replication position: written by a primary, received by a replica.", func(n nodeOf) (float64, bool) {
		return float64(n.Observation.Position), n.Observation.Role != ""
	})
	n.maybe("lag_bytes", "How far a replica's position is behind the primary's, where both are on one line of data.", func(n nodeOf) (float64, bool) {
		return float64(n.Lag), replica(n) && !n.Primary && sameLine(n)
	})
	n.maybe("lag_seconds", "For how long a replica has lacked something that the primary was seen to have, as exact as the time between scrapes.", func(n nodeOf) (float64, bool) {
		v, known := n.behind[n.Node]
		return v, known
	})
	n.maybe("link_up", "1 while a replica says that its link to its source stands.", func(n nodeOf) (float64, bool) {
		return flag(n.Observation.LinkUp), replica(n)
	})
	n.maybe("link_down_seconds", "For how long a replica says that its link has been down; 0 while it stands.", func(n nodeOf) (float64, bool) {
		if n.Observation.LinkUp {
			return 0, replica(n)
		}
		v, known := since(n.Observation.LinkDown)
		return v, known && replica(n)
	})
	n.maybe("syncing", "1 while a replica makes a full copy.", func(n nodeOf) (float64, bool) { return flag(n.Observation.Syncing), replica(n) })
	n.maybe("sync_member", "1 if the node is in the sync set. Groups with quorum durability only.", func(n nodeOf) (float64, bool) {
		return flag(n.group.Topology.NewestSync().Name(n.Node) != ""), len(n.group.Topology.Sync) > 0
	})
}

// sameLine reports whether a replica is on the line of data of the primary, so
// that their positions can be compared.
func sameLine(n nodeOf) bool {
	for _, p := range n.group.Nodes {
		if p.Primary {
			return p.Observation.Lineage != "" && p.Observation.Lineage == n.Observation.Lineage
		}
	}
	return false
}

// peer adds what is known of another Warden.
func (k *kinds) peer() {
	p := &k.peers
	p.flag("listed", "1 if the other Warden votes in the group.", func(p peerOf) bool { return p.Listed })
	p.flag("silent", "1 while the other Warden is not heard.", func(p peerOf) bool { return p.Down })
	p.maybe("heard_age_seconds", "Time since the other Warden's last message about the group.", func(p peerOf) (float64, bool) { return since(p.HeardAgo) })
	p.flag("serves_another", "1 while the other Warden names another primary to clients than this one does.", func(p peerOf) bool {
		return p.Serves != "" && p.group.Primary != "" && p.Serves != p.group.Primary
	})
	p.flag("says_down", "1 while the other Warden finds the primary down.", func(p peerOf) bool { return p.SaysDown })
}
