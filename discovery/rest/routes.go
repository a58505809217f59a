package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// scope is what a request may be about.
type scope int

const (
	ofWarden scope = iota // this Warden as a whole
	ofGroup               // one group
	ofNode                // one node of a group
)

// route is one thing that can be asked or ordered.
type route struct {
	methods []string
	scope   scope
	run     func(*Server, *request) *answer
}

var (
	reading  = []string{http.MethodGet, http.MethodHead}
	checking = []string{http.MethodGet, http.MethodHead, http.MethodOptions}
	ordering = []string{http.MethodPost}
	changing = []string{http.MethodGet, http.MethodHead, http.MethodPatch}
)

// routes are all of them by path: the part behind /groups/{group}, and
// /nodes/{node} where it is about a node.
var routes = makeRoutes()

func makeRoutes() map[string]route {
	all := map[string]route{
		"liveness":        {checking, ofWarden, (*Server).liveness},
		"groups":          {reading, ofWarden, (*Server).listGroups},
		"events":          {[]string{http.MethodGet}, ofWarden, (*Server).streamEvents},
		"openapi.json":    {reading, ofWarden, (*Server).describe},
		"cluster":         {reading, ofGroup, (*Server).showGroup},
		"reports":         {reading, ofGroup, (*Server).listReports},
		oneReport:         {reading, ofGroup, (*Server).showReport},
		"node":            {reading, ofNode, (*Server).showNode},
		"switchover":      {ordering, ofGroup, (*Server).switchover},
		"failover/pause":  {ordering, ofGroup, (*Server).pause},
		"failover/resume": {ordering, ofGroup, (*Server).resume},
		"cluster/config":  {ordering, ofGroup, (*Server).configure},
		"config":          {changing, ofGroup, (*Server).settings},
		"failsafe":        {ordering, ofGroup, (*Server).failsafe},
	}
	for name := range checks() {
		all[name] = route{checking, ofNode, (*Server).check}
	}
	return all
}

// request is one request with what its path says.
type request struct {
	*http.Request
	w http.ResponseWriter
	// name is the path of the route. group and node are what the path names; ""
	// where it does not.
	name        string
	group, node string
	// report is the ID that the path names, of oneReport.
	report string
	// nearest is that of Options.
	nearest func(word string, known []string) string
}

// oneReport is the name of the route that shows one report.
const oneReport = "reports/{id}"

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if extra, ok := s.options.Extra[r.URL.Path]; ok {
		extra.ServeHTTP(w, r)
		return
	}
	a := s.route(w, r)
	if a != nil { // else it has been answered
		a.send(w, r)
	}
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) *answer {
	q := &request{Request: r, w: w, nearest: s.options.Nearest}
	if why := q.readPath(); why != "" {
		return refuse(http.StatusNotFound, "unknown-path", why)
	}
	at, ok := routes[q.name]
	switch {
	case !ok:
		return refuse(http.StatusNotFound, "unknown-path", q.unknown("path", q.name, pathNames()).Error()+": GET /openapi.json tells what there is")
	case q.group != "" && at.scope < ofGroup, q.node != "" && at.scope < ofNode:
		return refuse(http.StatusNotFound, "unknown-path", "/"+q.name+" is not about that: ask for it at the top")
	case !slices.Contains(at.methods, r.Method):
		w.Header().Set("Allow", strings.Join(at.methods, ", "))
		return refuse(http.StatusMethodNotAllowed, "method", fmt.Sprintf("%s of /%s: use %s", clip(r.Method), q.name, at.methods[0]))
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch {
		if a := s.refuseStranger(r); a != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="warden"`)
			return a
		}
	}
	return at.run(s, q)
}

// readPath divides the path; it says what is wrong with it.
func (q *request) readPath() string {
	rest := strings.TrimPrefix(q.URL.Path, "/")
	if inside, ok := strings.CutPrefix(rest, "groups/"); ok {
		q.group, rest, ok = strings.Cut(inside, "/")
		if q.group == "" {
			return "/groups/ names no group: write /groups/{group}/cluster"
		}
		if !ok || rest == "" {
			rest = "cluster"
		}
	}
	if inside, ok := strings.CutPrefix(rest, "nodes/"); ok {
		if q.group == "" {
			return "/nodes/ stands without a group: write /groups/{group}/nodes/{node}/primary"
		}
		q.node, rest, ok = strings.Cut(inside, "/")
		if q.node == "" {
			return "/nodes/ names no node: write /groups/{group}/nodes/{node}/primary"
		}
		if !ok || rest == "" {
			rest = "node"
		}
	}
	if id, ok := strings.CutPrefix(rest, "reports/"); ok && id != "" && !strings.Contains(id, "/") {
		q.report, rest = id, oneReport
	}
	if rest == "" {
		return "there is nothing at /: GET /openapi.json tells what there is"
	}
	q.name = rest
	return ""
}

func pathNames() []string {
	names := make([]string, 0, len(routes))
	for name := range routes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// subject is what a request is about.
type subject struct {
	scene *scene
	node  warden.NodeView
}

// inGroup finds the group of a request: the one that is named, or the only one.
// given is the query.
func (s *Server) inGroup(q *request, given map[string]string) (*scene, *answer) {
	name := q.group
	if other, ok := given["group"]; ok {
		if name != "" {
			return nil, refuse(http.StatusBadRequest, "usage", "the group is named in the path and in the query: keep one of the two")
		}
		name = other
	}
	if name == "" {
		names := s.dir.Groups()
		if len(names) != 1 {
			return nil, refuse(http.StatusBadRequest, "usage", fmt.Sprintf("this Warden watches %d groups: name one, as in ?group=NAME (GET /groups lists them)", len(names)))
		}
		name = string(names[0])
	}
	c, known := s.scene(warden.GroupName(name))
	if !known {
		return nil, refuse(http.StatusNotFound, "unknown-group", fmt.Sprintf("no group %q here: GET /groups lists them", clip(name)))
	}
	return c, nil
}

// nodeName is the node that a request names, "" for none.
func (q *request) nodeName(given map[string]string) (warden.NodeID, *answer) {
	name := q.node
	if other, ok := given["node"]; ok {
		if name != "" {
			return "", refuse(http.StatusBadRequest, "usage", "the node is named in the path and in the query: keep one of the two")
		}
		name = other
	}
	if name == "" {
		return "", nil
	}
	id, err := warden.ParseNode(clip300(name))
	if err != nil {
		return "", refuse(http.StatusBadRequest, "usage", err.Error())
	}
	return id, nil
}

// clip300 bounds an address before it is quoted in an error.
func clip300(s string) string { return s[:min(len(s), 300)] }

// inNode finds the node of a request, which has to name one.
func (s *Server) inNode(q *request, given map[string]string) (subject, *answer) {
	c, a := s.inGroup(q, given)
	if a != nil {
		return subject{}, a
	}
	id, a := q.nodeName(given)
	if a != nil {
		return subject{}, a
	}
	if id == "" {
		return subject{}, refuse(http.StatusBadRequest, "usage", fmt.Sprintf("which node is meant? Write /groups/%s/nodes/HOST:PORT/%s, or add node=HOST:PORT", c.view.Name, q.name))
	}
	n, ok := c.node(id)
	if !ok {
		return subject{}, refuse(http.StatusNotFound, "unknown-node", fmt.Sprintf("no node %s in group %s: GET /groups/%s lists them", id, c.view.Name, c.view.Name))
	}
	return subject{c, n}, nil
}
