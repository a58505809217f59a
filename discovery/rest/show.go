package rest

import (
	_ "embed"
	"net/http"

	"github.com/spineldb/warden/warden"
)

// GroupBrief is one entry of GET /groups.
type GroupBrief struct {
	Group   warden.GroupName `json:"group"`
	Primary warden.NodeID    `json:"primary"`
	Epoch   warden.Epoch     `json:"epoch"`
	Agreed  bool             `json:"agreed"`
}

// Cluster answers GET /cluster.
type Cluster struct {
	// Warden is the one that answers.
	Warden warden.SelfView  `json:"warden"`
	Group  warden.GroupView `json:"group"`
}

// NodeState answers GET /node.
type NodeState struct {
	Group warden.GroupName `json:"group"`
	Epoch warden.Epoch     `json:"epoch"`
	State warden.NodeView  `json:"state"`
}

// listGroups answers GET /groups.
func (s *Server) listGroups(q *request) *answer {
	if _, err := q.parameters(); err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	all := []GroupBrief{}
	for _, name := range s.dir.Groups() {
		if c, known := s.sceneWithin(name, listLife); known {
			all = append(all, GroupBrief{name, c.view.Primary, c.view.Topology.Epoch, c.view.Agreed})
		}
	}
	return render(http.StatusOK, struct {
		Groups []GroupBrief `json:"groups"`
	}{all})
}

// showGroup answers GET /cluster.
func (s *Server) showGroup(q *request) *answer {
	given, err := q.parameters("group")
	if err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	c, a := s.inGroup(q, given)
	if a != nil {
		return a
	}
	return render(http.StatusOK, Cluster{s.dir.Self(), c.view}).about(&c.view, c.view.HeardAgo)
}

// showNode answers GET /node.
func (s *Server) showNode(q *request) *answer {
	given, err := q.parameters("group", "node")
	if err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	at, a := s.inNode(q, given)
	if a != nil {
		return a
	}
	v := &at.scene.view
	return render(http.StatusOK, NodeState{v.Name, v.Topology.Epoch, at.node}).about(v, at.node.ObservedAgo)
}

// Document is the description of all requests, in OpenAPI 3.1.
//
//go:embed openapi.json
var Document []byte

func (s *Server) describe(q *request) *answer {
	if _, err := q.parameters(); err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	return &answer{status: http.StatusOK, body: Document}
}
