package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Tags are an operator's wishes about one node.
type Tags struct {
	// NoFailover: it is never made the primary. NoSync: acknowledged writes are
	// not kept on it.
	NoFailover, NoSync bool
	// Priority chooses between replicas that are equally far: the highest one,
	// from 0, which is NoFailover, to MaxPriority. 100 is that of nodes without
	// tags. PrioritySet: it is written in the file.
	Priority    int
	PrioritySet bool
	// NoLoadBalance: clients are not told of it as a replica to read from.
	// ReplicateFrom: it is to receive from that node and not from the primary, as
	// long as that one is a replica of the primary and in step.
	NoLoadBalance bool
	ReplicateFrom warden.NodeID
}

// MaxPriority is the highest Tags.Priority.
const MaxPriority = warden.MaxPreference

// Wishes are the tags as Wardens judge by them.
func (t Tags) Wishes() warden.Tags {
	w := warden.Tags{ReplicateFrom: t.ReplicateFrom}
	for _, x := range []struct {
		said bool
		into *warden.Switch
	}{{t.NoFailover || t.Priority == 0, &w.NoFailover}, {t.NoSync, &w.NoSync}, {t.NoLoadBalance, &w.NoLoadBalance}} {
		if x.said {
			*x.into = warden.Yes
		}
	}
	if t.PrioritySet {
		w.Priority = t.Priority
	}
	return w
}

const defaultPriority = 100

// tags reads a table of tables, one for each node.
func (s *section) tags(m Master) map[warden.NodeID]Tags {
	const key = "tags"
	const form = `tags."host:port" = { nofailover = true }`
	table, ok := s.get(key).(map[string]any)
	if !ok {
		if s.has(key) && !s.failed[key] {
			s.wrong(key, "is %s, but a table for each node is wanted: write %s", typeName(s.values[key]), form)
		}
		return nil
	}
	out := map[warden.NodeID]Tags{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		path := under(s.path, under(key, name))
		line := s.l.doc.lineOf(path)
		node, err := s.parseNode(name)
		values, isTable := table[name].(map[string]any)
		_, twice := out[node]
		switch {
		case err != nil:
			s.wrongAt(line, key, "%v: write %s", err, form)
		case !isTable:
			s.wrongAt(line, key, "%s is %s, but a table is wanted: write %s", node, typeName(table[name]), form)
		case twice:
			s.wrongAt(line, key, "%s is there twice: keep one of the two", node)
		case len(m.Nodes) > 0 && node != m.Primary && !slices.Contains(m.Nodes, node) && !s.failed["ip"] && !s.failed["port"] && !s.failed["nodes"]:
			s.wrongAt(line, key, "%s is not among the nodes: write its address as it is there, or add it", node)
		default:
			t := s.l.section(path, values)
			t.group, t.place, t.defaultPort = s.group, fmt.Sprintf("tags of %s: ", node), s.defaultPort
			out[node] = t.tagsOfNode(node, m)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// tagsOfNode reads one node's.
func (s *section) tagsOfNode(node warden.NodeID, m Master) Tags {
	t := Tags{
		NoFailover: s.flag("nofailover", false), NoSync: s.flag("nosync", false), NoLoadBalance: s.flag("noloadbalance", false),
		Priority:    s.whole("failover_priority", defaultPriority, 0, MaxPriority, "the highest one is preferred, 0 is never promoted"),
		PrioritySet: s.has("failover_priority"),
	}
	if from := s.text("replicatefrom", ""); s.has("replicatefrom") && !s.failed["replicatefrom"] {
		upstream, err := s.parseNode(from)
		switch {
		case err != nil:
			s.wrong("replicatefrom", "%v", err)
		case upstream == node:
			s.wrong("replicatefrom", "is the node itself: name another one")
		case len(m.Nodes) > 0 && upstream != m.Primary && !slices.Contains(m.Nodes, upstream):
			s.wrong("replicatefrom", "%s is not among the nodes: write its address as it is there, or add it", upstream)
		}
		t.ReplicateFrom = upstream
	}
	if t.NoFailover && s.has("failover_priority") && t.Priority > 0 {
		s.wrong("failover_priority", "is set beside nofailover = true, which is 0: keep one of the two")
	}
	s.finish(nil, "")
	return t
}

// parseNode reads host:port, or a host alone where there is a usual port.
func (s *section) parseNode(text string) (warden.NodeID, error) {
	bare := strings.Trim(text, "[]")
	if _, err := netip.ParseAddr(bare); s.defaultPort > 0 && (err == nil || IsHostName(text)) {
		return warden.MakeNode(bare, s.defaultPort), nil
	}
	n, err := warden.ParseNode(text)
	if err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(n.Host()); err != nil && !IsHostName(n.Host()) {
		return "", fmt.Errorf("address %q: %q is neither an IP address nor a host name", text, n.Host())
	}
	return n, nil
}
