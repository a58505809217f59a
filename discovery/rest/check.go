package rest

import (
	"fmt"
	"net/http"

	"github.com/spineldb/warden/warden"
)

// Check answers a health check.
type Check struct {
	Group warden.GroupName `json:"group"`
	Node  warden.NodeID    `json:"node,omitempty"`
	Check string           `json:"check"`
	OK    bool             `json:"ok"`
	// Reason says why not.
	Reason string      `json:"reason,omitempty"`
	Role   warden.Role `json:"role,omitempty"`
	// Primary is whom this Warden serves, "" while that is nobody.
	Primary warden.NodeID `json:"primary"`
	// Epoch and Version are of the agreed topology.
	Epoch   warden.Epoch `json:"epoch"`
	Version string       `json:"version"`
	// AgeMS is how old the older is of what the answer rests on: the last word of a
	// majority of the Wardens, and the last good answer of the node. Negative:
	// there was none yet.
	AgeMS int64 `json:"age_ms"`
	// LagBytes is what a replica lacked when it was last seen, if that is known.
	LagBytes *int64 `json:"lag_bytes,omitempty"`
}

// check answers for one node. /health and /readiness without one are about this
// Warden, or about its knowledge of a group.
func (s *Server) check(q *request) *answer {
	given, err := q.parameters("group", "node", "lag", "tag_")
	if err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	if _, named := given["node"]; !named && q.node == "" && (q.name == "health" || q.name == "readiness") {
		return s.ownHealth(q, given)
	}
	at, a := s.inNode(q, given)
	if a != nil {
		return a
	}
	conditional := false
	for name := range given {
		conditional = conditional || name != "group" && name != "node"
	}
	key := question{q.name, at.node.Node}
	if !conditional {
		if made, ok := at.scene.answers.Load(key); ok {
			return made.(*answer)
		}
	}
	what := asked{scene: at.scene, node: at.node}
	if err := what.readConditions(q, given); err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	made := what.answer(q.name)
	if !conditional {
		at.scene.answers.Store(key, made)
	}
	return made
}

// answer judges a node and renders what comes of it.
func (a *asked) answer(check string) *answer {
	v := &a.scene.view
	why := checks()[check](a)
	age := max(a.node.GoodAgo, v.HeardAgo)
	if a.node.GoodAgo < 0 || v.HeardAgo < 0 {
		age = -warden.Millisecond
	}
	body := Check{
		Group: v.Name, Node: a.node.Node, Check: check, OK: why == "", Reason: why, Role: a.node.Observation.Role, Primary: v.Primary,
		Epoch: v.Topology.Epoch, Version: v.Topology.Version.String(), AgeMS: age.Milliseconds(),
	}
	if lag, known := a.scene.lag(&a.node); known {
		body.LagBytes = &lag
	}
	return render(statusOf(why), body).about(v, age)
}

func statusOf(why string) int {
	if why == "" {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

// OwnHealth answers /health, /readiness and /liveness where they are about this
// Warden.
type OwnHealth struct {
	Check string `json:"check"`
	OK    bool   `json:"ok"`
	// Reasons say why not, one for each group where something is wrong.
	Reasons []string `json:"reasons,omitempty"`
	Groups  int      `json:"groups"`
}

// liveness answers as long as this process does.
func (s *Server) liveness(q *request) *answer {
	if _, err := q.parameters(); err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	return render(http.StatusOK, OwnHealth{Check: q.name, OK: true, Groups: len(s.dir.Groups())})
}

// ownHealth answers for the groups of this Warden, or for one of them. Healthy
// is a Warden that can judge and vote; ready is one that also knows what is
// agreed.
func (s *Server) ownHealth(q *request, given map[string]string) *answer {
	for name := range given {
		if name != "group" {
			return refuse(http.StatusBadRequest, "usage", fmt.Sprintf("parameter %s is about a node: add node=HOST:PORT, or leave it out", clip(name)))
		}
	}
	names, life := s.dir.Groups(), listLife
	if _, named := given["group"]; named || q.group != "" {
		c, a := s.inGroup(q, given)
		if a != nil {
			return a
		}
		names, life = []warden.GroupName{c.view.Name}, sceneLife
	}
	body := OwnHealth{Check: q.name, Groups: len(names)}
	for _, name := range names {
		c, known := s.sceneWithin(name, life)
		if !known {
			continue // removed just now
		}
		if why := c.unfit(q.name == "readiness"); why != "" {
			body.Reasons = append(body.Reasons, fmt.Sprintf("%s: %s", name, why))
		}
	}
	body.OK = len(body.Reasons) == 0
	status := http.StatusOK
	if !body.OK {
		status = http.StatusServiceUnavailable
	}
	a := render(status, body)
	if len(names) == 1 {
		if c, known := s.sceneWithin(names[0], life); known {
			a.about(&c.view, c.view.HeardAgo)
		}
	}
	return a
}

// unfit says what keeps this Warden from doing its work for a group.
func (c *scene) unfit(ready bool) string {
	v := &c.view
	switch {
	case v.Tilt:
		return "this Warden distrusts its clock (TILT)"
	case v.Mute:
		return "this Warden cannot write its store"
	case !ready:
		return ""
	case v.Provisional:
		return "there is no first agreement yet"
	case !v.Agreed:
		return "a majority of the Wardens is not heard"
	}
	return ""
}
