package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// opinion is one Warden's view of a group.
type opinion struct {
	from remote.Report
	view warden.GroupView
}

// judgement is what the reports of all Wardens say about one group together.
type judgement struct {
	Group warden.GroupName `json:"group"`
	// Agreed: a Warden that has just heard a majority names a primary, and
	// none like it says otherwise.
	Agreed  bool          `json:"agreed"`
	Primary warden.NodeID `json:"primary"`
	// Problems say plainly what is not agreed, not fresh or not normal.
	Problems []string `json:"problems"`

	best     warden.GroupView
	opinions []opinion
}

// judge compares the reports. It trusts the newest agreement that is fresh.
func judge(group warden.GroupName, reports []remote.Report) judgement {
	j := judgement{Group: group, Problems: []string{}}
	for _, r := range reports {
		if v, ok := r.View(group); ok {
			j.opinions = append(j.opinions, opinion{r, v})
		}
	}
	if len(j.opinions) == 0 {
		j.say("no Warden that answers watches group %s", group)
		return j
	}
	j.best = j.opinions[0].view
	for _, o := range j.opinions[1:] {
		if remote.Better(o.view, j.best) {
			j.best = o.view
		}
	}
	j.Primary = j.best.Primary
	j.Agreed = j.best.Agreed && !j.best.Provisional
	j.sayState()
	j.sayDifferences()
	j.sayAbsent(reports)
	return j
}

func (j *judgement) say(format string, args ...any) {
	j.Problems = append(j.Problems, fmt.Sprintf(format, args...))
}

// sayState tells what is not normal about the best view itself.
func (j *judgement) sayState() {
	v := j.best
	switch {
	case v.Provisional && v.Primary == "":
		j.say("not agreed: there is no first agreement yet, and no primary to serve")
	case v.Provisional:
		j.say("not agreed: there is no first agreement yet; %s is served provisionally", v.Primary)
	case !v.Agreed:
		j.say("not fresh: no Warden asked has heard a majority for %s, so nothing can be changed and the primary may be another by now", age(v.HeardAgo))
	case v.Primary == "":
		j.say("no primary is served at the moment")
	}
	t := v.Topology
	switch {
	case t.Phase == warden.PhasePromoting:
		j.say("a change is under way: %s is being promoted in place of %s (%s)", t.Primary, orDash(string(t.Previous)), t.Reason)
	case t.Phase == warden.PhaseSealing:
		j.say("a change is under way: writes on %s are being stopped (%s)", t.Primary, t.Reason)
	}
	if len(t.Sync) > 0 && !t.Promises() {
		j.say("degraded: too few standbys are left to keep acknowledged writes, so a failover may lose some")
	}
	if !v.Agreed && slices.ContainsFunc(v.Nodes, func(n warden.NodeView) bool { return n.Observation.Sealed }) {
		j.say("standbys are sealed, and a majority of Wardens is needed to go on; if it does not return: spineldb release %s", j.Group)
	}
	if n := len(t.Wardens); n > 0 && v.Quorum > n {
		j.say("quorum is %d and the list has %d %s, so nothing else can be agreed: spineldb config set %s quorum=%d", v.Quorum, n, wording.Plural(n, "Warden"), j.Group, n/2+1)
	}
	if v.Paused || t.Settings.Paused {
		j.say("paused: nothing will be changed until spineldb resume %s", j.Group)
	}
	for _, n := range v.Nodes {
		if n.Primary && n.Odown {
			j.say("the primary %s is down, and enough Wardens say so (%d of %d needed)", n.Node, n.Agreeing, v.Quorum)
		}
	}
}

// sayDifferences tells which Warden sees less, or something else.
func (j *judgement) sayDifferences() {
	for _, o := range j.opinions {
		v, name := o.view, o.from.Name()
		same := v.Topology.Birth == j.best.Topology.Birth
		switch {
		case j.best.Provisional && v.Primary != j.best.Primary:
			j.say("Warden %s provisionally names %s as primary instead: correct ip and port in its warden.toml", name, orDash(string(v.Primary)))
		case j.best.Provisional:
		case v.Provisional:
			j.say("Warden %s has not joined the agreement yet", name)
		case !same && v.Topology.Birth == j.best.Topology.Replaces:
			j.say("Warden %s was given up as lost by recover and abstains: stop it, remove its data_dir and start it again as a new Warden", name)
		case !same:
			j.say("Warden %s belongs to another agreement, with primary %s: two were made apart; stop the wrong Wardens, empty their data_dir and start them again", name, orDash(string(v.Primary)))
			j.Agreed = j.Agreed && !v.Agreed
		case !v.Agreed && j.best.Agreed:
			j.say("Warden %s is not fresh: it has heard no majority for %s", name, age(v.HeardAgo))
		case v.Primary != j.best.Primary && v.Topology.Version == j.best.Topology.Version:
			j.say("Warden %s names %s as primary for the same topology", name, orDash(string(v.Primary)))
			j.Agreed = false
		case j.best.Topology.Version.Newer(v.Topology.Version):
			j.say("Warden %s is behind: it knows topology %s with primary %s, others %s", name, v.Topology.Version, orDash(string(v.Primary)), j.best.Topology.Version)
		}
		if v.Tilt {
			j.say("Warden %s distrusts its clock (TILT, for %s) and abstains", name, age(v.TiltFor))
		}
		if v.Mute {
			j.say("Warden %s cannot write its data_dir and neither votes nor leads: look at its log and its disk", name)
		}
		if v.Failover != "" {
			j.say("Warden %s is changing the primary: %s", name, v.Failover)
		}
	}
}

// sayAbsent tells which Wardens of the group said nothing.
func (j *judgement) sayAbsent(reports []remote.Report) {
	seen := []warden.WardenID{}
	for _, r := range reports {
		_, watches := r.View(j.Group)
		listed := j.best.Topology.Lists(r.ID)
		if r.ID != "" {
			seen = append(seen, r.ID)
		}
		switch {
		case r.Error != "" && (listed || r.ID == "" || j.knows(r.ID)):
			j.say("Warden %s at %s could not be asked: %s", r.Name(), r.Server, r.Error)
		case r.Error == "" && !watches && listed:
			j.say("Warden %s is listed but does not watch this group: add the group to its warden.toml, or spineldb forget it", r.Name())
		}
	}
	for _, id := range j.best.Topology.Wardens {
		if !slices.Contains(seen, id) {
			j.say("Warden %s is listed, but no Warden asked knows its address: start it, or spineldb forget %s %s", id.Short(), j.Group, id.Short())
		}
	}
}

// knows reports whether somebody counts that Warden among this group's.
func (j *judgement) knows(id warden.WardenID) bool {
	return slices.ContainsFunc(j.opinions, func(o opinion) bool {
		return slices.ContainsFunc(o.view.Peers, func(p warden.PeerView) bool { return p.ID == id })
	})
}

// nodes are all nodes of the group: those of the best view in its order, then
// what only others see.
func (j *judgement) nodes() []warden.NodeView {
	nodes := slices.Clone(j.best.Nodes)
	for _, o := range j.opinions {
		for _, n := range o.view.Nodes {
			if !slices.ContainsFunc(nodes, func(have warden.NodeView) bool { return have.Node == n.Node }) {
				nodes = append(nodes, n)
			}
		}
	}
	return nodes
}

// voices sums up what each Warden thinks of a node: "up 3/3" when all are of
// one mind, else who says what and why.
func (j *judgement) voices(node warden.NodeID) (text string, down, all int) {
	var up, reasons []string
	for _, o := range j.opinions {
		for _, n := range o.view.Nodes {
			if n.Node != node {
				continue
			}
			all++
			if !n.Down {
				up = append(up, o.from.Name())
				continue
			}
			down++
			reason := orDash(n.Why)
			if n.DownAgo > 0 && !strings.Contains(reason, " for ") { // else it says for how long
				reason += ", for " + age(n.DownAgo)
			}
			reasons = append(reasons, fmt.Sprintf("%s: down (%s)", o.from.Name(), reason))
		}
	}
	switch {
	case all == 0:
		return "-", 0, 0
	case down == 0:
		return fmt.Sprintf("up %d/%d", all, all), 0, all
	case len(up) > 0:
		reasons = append(reasons, strings.Join(up, ", ")+": up")
	}
	return fmt.Sprintf("down %d/%d  ", down, all) + strings.Join(reasons, "; "), down, all
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
