package failover

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// Rehearsal is what a failover would come to if the primary died now.
type Rehearsal struct {
	Choice
	// Lacks is how many bytes the candidate has less than the primary was last
	// seen to have, -1 when that is not known.
	Lacks int64
	// Kept: acknowledged writes are kept by a sync set. Short says why too few of
	// its members could be sealed, or what would be lost; then nobody is promoted.
	Kept  bool
	Short string
}

// Rehearse chooses from the looks that there are, as a leader would from fresh
// ones. Members of the sync sets that answer count as sealed.
func Rehearse(c *Config, t *warden.Topology, looks []Look, lineage []string) Rehearsal {
	s := &State{Looks: slices.Clone(looks), Old: t.Primary, Want: Want{Reason: warden.ReasonFailover, Primary: t.Primary}}
	r := run{c: c, s: s, sc: &Scene{Base: *t, Lineage: lineage, DownFor: c.DownAfter}}
	for _, l := range looks {
		r.sc.Nodes = append(r.sc.Nodes, Sighting{ID: l.Node, Seen: l.Seen, Good: good(l)})
	}
	out := Rehearsal{Lacks: -1}
	if out.Kept = r.binding(); out.Kept {
		s.sealed = true
		s.Looks = r.sealedAll()
		out.Short = r.short()
	}
	// The primary is dead by then, whatever it says now.
	old := r.lookAt(t.Primary)
	var had *warden.Observation
	if old != nil {
		had = old.Seen
		old.Seen, old.Done, old.Sealed = nothing, false, false
	}
	out.Choice = Choose(r.ask(false))
	if out.Candidate == "" {
		return out
	}
	if out.Kept && out.Short == "" {
		out.Short = r.keeps(out.Choice)
	}
	if seen := r.lookAt(out.Candidate).Seen; had != nil && had.Role == warden.RolePrimary && had.Lineage == seen.Lineage {
		out.Lacks = max(had.Position-seen.Position, 0)
	}
	return out
}
