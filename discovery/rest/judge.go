package rest

import (
	"cmp"
	"fmt"

	"github.com/spineldb/warden/warden"
)

// asked is one node of a group as it is judged, with the conditions of the
// question.
type asked struct {
	scene *scene
	node  warden.NodeView
	// lag is how many bytes a replica may lack; negative: any number.
	lag  int64
	tags []tag
}

// refusal says why a node is not what was asked for; empty: it is.
type refusal func(a *asked) string

// checks are the questions about a node, by their paths. Several are spellings
// of one.
func checks() map[string]refusal {
	return map[string]refusal{
		"primary": refusePrimary, "leader": refusePrimary, "master": refusePrimary, "read-write": refusePrimary,
		"replica": refuseReader, "read-only": either(refusePrimary, refuseReader),
		"sync": refuseSync, "synchronous": refuseSync, "async": refuseAsync, "asynchronous": refuseAsync,
		"health": refuseUnseen, "readiness": either(refusePrimary, refuseReplica),
	}
}

// either is what answers to one of two descriptions. The second one tells why
// not, unless the node is the primary.
func either(first, second refusal) refusal {
	return func(a *asked) string {
		why := first(a)
		if why == "" || a.node.Primary {
			return why
		}
		return second(a)
	}
}

// refusePrimary answers for the one node that takes writes. All Wardens together
// must never say yes to two nodes at once. So this one says yes only while it
// hears a majority of the Wardens, which a newer decision cannot have passed by
// for longer than StaleAfter; and to another node than before only when nobody
// is left who can still say yes to the former one.
func refusePrimary(a *asked) string {
	v, n := &a.scene.view, &a.node
	o := &n.Observation
	switch {
	case v.Provisional:
		return "the Wardens have not agreed on a primary yet"
	case v.Tilt:
		return "this Warden distrusts its clock (TILT)"
	case v.Mute:
		return "this Warden cannot write its store and learns nothing"
	case v.Primary == "":
		return "no node takes writes at present"
	case !n.Primary:
		return string(v.Primary) + " is the primary"
	case v.Topology.Phase == warden.PhasePromoting:
		return "it is being promoted"
	case !v.Agreed || v.HeardAgo < 0 || v.HeardAgo > v.StaleAfter:
		return "this Warden does not hear a majority of the others and may not know what is agreed"
	}
	if why := refuseUnseen(a); why != "" {
		return why
	}
	switch {
	case o.Role != warden.RolePrimary:
		return "it does not say that it is a primary"
	case o.ReadOnly:
		return "it takes no writes: it is held or fenced"
	}
	if left := a.scene.handover(); left > 0 {
		return fmt.Sprintf("another Warden may still name %s, for at most %s", v.Topology.Previous, left)
	}
	return conditions(a)
}

// handoverMargin is for words of other Wardens that were long on their way, and
// for views that are not quite of now.
const handoverMargin = warden.Second

// handover is how long some Warden may go on naming the former primary; 0 when
// none can.
func (c *scene) handover() warden.Duration {
	v := &c.view
	t := &v.Topology
	if t.Previous == "" || t.Previous == v.Primary {
		return 0
	}
	since := v.MovedAgo
	if since < 0 {
		since = c.sinceBegan // it moved before this process was there
	}
	limit := v.StaleAfter + handoverMargin
	if since >= limit {
		return 0
	}
	if n, ok := c.node(t.Previous); ok {
		o := &n.Observation
		harmless := o.Role == warden.RoleReplica || o.ReadOnly
		if harmless && o.Health == warden.HealthGood && n.ObservedAgo >= 0 && n.ObservedAgo < since {
			return 0
		}
	}
	for _, p := range v.Peers {
		if !p.Real && p.Serves != v.Primary {
			return limit - since
		}
	}
	return 0
}

// refuseUnseen answers for a node that works as far as this Warden can see. A
// lost answer or two are forgiven, a refused connection is not.
func refuseUnseen(a *asked) string {
	v, n := &a.scene.view, &a.node
	limit := v.StaleAfter
	if v.DownAfter > 0 {
		limit = min(limit, v.DownAfter)
	}
	switch {
	case n.Down:
		return "it is down: " + cmp.Or(n.Why, "it does not answer")
	case n.Observation.Health == warden.HealthRefused:
		return "it refuses connections"
	case n.Observation.Health == warden.HealthLoading:
		return "it is not ready yet: it loads its data or starts"
	case n.GoodAgo < 0:
		return "it has not been seen since this Warden started"
	case n.GoodAgo > limit:
		return fmt.Sprintf("its last good answer is %s old", n.GoodAgo)
	}
	return ""
}

// refuseReplica answers for a replica that is in step with its group.
func refuseReplica(a *asked) string {
	if why := refuseUnseen(a); why != "" {
		return why
	}
	n := &a.node
	o := &n.Observation
	switch {
	case n.Primary:
		return "it is the primary"
	case o.Role != warden.RoleReplica:
		return "it does not say that it is a replica"
	case n.Foreign:
		return "it holds other data than this group"
	case n.Stranded, o.NeedsRejoin:
		return "it needs a rejoin"
	case o.Syncing:
		return "it is copying the data of its primary"
	case !o.LinkUp:
		return "it does not receive from a primary"
	case !a.scene.leads(o.Upstream):
		return fmt.Sprintf("it receives from %s, which is not the primary", o.Upstream)
	}
	if why := refuseLag(a); why != "" {
		return why
	}
	return conditions(a)
}

// leads reports whether what a node hands on comes from the primary: it is the
// primary, or one of its replicas.
func (c *scene) leads(id warden.NodeID) bool {
	n, ok := c.node(id)
	return ok && (n.Primary || n.Observation.Role == warden.RoleReplica)
}

// refuseLag judges the condition lag. Only positions of one line of data can be
// compared.
func refuseLag(a *asked) string {
	if a.lag < 0 {
		return ""
	}
	lag, known := a.scene.lag(&a.node)
	switch {
	case !known:
		return "how much it lacks is not known"
	case lag > a.lag:
		return fmt.Sprintf("it lacks %d bytes, more than %d", lag, a.lag)
	}
	return ""
}

// lag is how many bytes a replica lacked when it was last seen.
func (c *scene) lag(n *warden.NodeView) (bytes int64, known bool) {
	p, ok := c.node(c.view.Primary)
	o := &n.Observation
	if !ok || n.Primary || o.Lineage == "" || p.Observation.Lineage != o.Lineage {
		return 0, false
	}
	return max(p.Observation.Position-o.Position, 0), true
}

// refuseReader answers for a replica that clients may read from.
func refuseReader(a *asked) string {
	if a.node.Observation.Unannounced {
		return "it is not to be read from (noloadbalance, or replica-announced no)"
	}
	return refuseReplica(a)
}

// refuseSync answers for a replica that keeps acknowledged writes.
func refuseSync(a *asked) string {
	if why := refuseReader(a); why != "" {
		return why
	}
	if !a.scene.keeps(a.node.Node) {
		return "it is not one of those that keep acknowledged writes"
	}
	return ""
}

// refuseAsync answers for any other replica.
func refuseAsync(a *asked) string {
	if why := refuseReader(a); why != "" {
		return why
	}
	if a.scene.keeps(a.node.Node) {
		return "it is one of those that keep acknowledged writes"
	}
	return ""
}

// keeps reports whether a node is in the sync set; while that changes, whether it
// is in both.
func (c *scene) keeps(id warden.NodeID) bool {
	for _, set := range c.view.Topology.Sync {
		if set.K == 0 || set.Name(id) == "" {
			return false
		}
	}
	return len(c.view.Topology.Sync) > 0
}
