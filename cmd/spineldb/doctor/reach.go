package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// checkHeard asks every Warden whether it hears every other one that is listed.
// What nobody hears is told once.
func checkHeard(g Group, all []Warden) []Finding {
	agreed, ok := best(g.Name, all)
	if !ok {
		return nil
	}
	var out []Finding
	for _, id := range agreed.Topology.Wardens {
		var deaf, hearing []string
		for _, w := range all {
			v, watches := w.view(g.Name)
			if !watches || w.ID == id {
				continue
			}
			if hears(v, id) {
				hearing = append(hearing, w.Name)
			} else {
				deaf = append(deaf, w.Name)
			}
		}
		f := Finding{Severity: Warning, Remedy: "open the gossip port (gossip_port, TCP and UDP) in both directions, and see that announce_ip is an address that the others reach"}
		switch {
		case len(deaf) == 0:
			continue
		case len(hearing) == 0:
			f.Found, f.Why = "no other Warden hears "+id.Short(), "it counts as lost: it may not be missing one more"
			f.Remedy = "start it, or spineldb forget it; if it runs, " + f.Remedy
		default:
			f.Found = fmt.Sprintf("%s is not heard by %s, and is by %s", id.Short(), strings.Join(deaf, ", "), strings.Join(hearing, ", "))
			f.Why = "a Warden that hears some of the others only may get no majority although there is one"
		}
		out = append(out, f)
	}
	return out
}

// hears reports whether a Warden has heard another one lately.
func hears(v warden.GroupView, id warden.WardenID) bool {
	return slices.ContainsFunc(v.Peers, func(p warden.PeerView) bool {
		return p.ID == id && !p.Down && p.HeardAgo >= 0 && (v.StaleAfter == 0 || p.HeardAgo <= v.StaleAfter)
	})
}

// checkNodesReached asks every Warden whether it reaches every node.
func checkNodesReached(g Group, all []Warden) []Finding {
	type seen struct {
		node    warden.NodeID
		primary bool
		by, not []string
		why     string
	}
	var nodes []*seen
	find := func(id warden.NodeID) *seen {
		if i := slices.IndexFunc(nodes, func(s *seen) bool { return s.node == id }); i >= 0 {
			return nodes[i]
		}
		nodes = append(nodes, &seen{node: id})
		return nodes[len(nodes)-1]
	}
	watching := slices.DeleteFunc(slices.Clone(all), func(w Warden) bool { _, ok := w.view(g.Name); return !ok })
	for _, w := range watching {
		v, _ := w.view(g.Name)
		for _, n := range v.Nodes {
			s := find(n.Node)
			s.primary = s.primary || n.Primary
			switch {
			case n.Down:
				s.not, s.why = append(s.not, w.Name), n.Why
			case n.GoodAgo < 0 && n.AnsweredAgo < 0:
				s.not, s.why = append(s.not, w.Name), "it has never answered"
			default:
				s.by = append(s.by, w.Name)
			}
		}
	}
	var out []Finding
	for _, s := range nodes {
		unknown := slices.DeleteFunc(slices.Clone(watching), func(w Warden) bool {
			return slices.Contains(s.by, w.Name) || slices.Contains(s.not, w.Name)
		})
		f := Finding{Severity: Warning, Node: s.node, Why: "a Warden that does not reach a node neither votes against it nor leads well"}
		switch {
		case len(s.not) > 0 && len(s.by) == 0:
			f.Found, f.Why = "no Warden reaches it: "+s.why, "it cannot be promoted"
			f.Remedy = "start it; or correct its address, the firewall, or auth_user and auth_password_file"
			if s.primary {
				f.Severity, f.Why = Error, "nobody can write; spineldb explain tells why no failover happens"
			}
		case len(s.not) > 0:
			f.Found = fmt.Sprintf("%s: not reached (%s), while %s: reached", strings.Join(s.not, ", "), s.why, strings.Join(s.by, ", "))
			f.Why = "a Warden that does not reach the primary votes it down, and one that does not reach a replica does not promote it"
			f.Remedy = "look at the network and the firewall between them, and at the password in that Warden's file"
		case len(unknown) > 0:
			f.Severity, f.Found = Note, namesOf(unknown)+": not known there"
			f.Why, f.Remedy = "that Warden has not learned of it, and does not promote it", `nodes = ["`+string(s.node)+`", ...]   # in its file, then kill -HUP`
		default:
			continue
		}
		out = append(out, f)
	}
	return out
}

func namesOf(all []Warden) string {
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = w.Name
	}
	return strings.Join(names, ", ")
}
