package warden

import (
	"errors"
	"slices"
	"strings"
)

// Limits of settings.
const (
	// MinDownAfter is the least down_after that a network can be judged by, and
	// MinCrashAfter the least crash_after.
	MinDownAfter  = 100 * Millisecond
	MinCrashAfter = 10 * Millisecond
	// MaxPreference is the highest failover_priority; everybody's own is 100.
	MaxPreference = 199
	// AnyLag is a Settings.MaxLag that lets a candidate lack any number of bytes.
	AnyLag = -1
	// maxTagged bounds the nodes with tags, as their number in a group is bounded.
	maxTagged = 64
)

// Switch is a yes or a no, or the zero value: nothing was said. It is true,
// false or absent in JSON.
type Switch int8

// Switches.
const (
	Unsaid Switch = iota
	No
	Yes
)

// Or is what was said, or else the given value.
func (s Switch) Or(other bool) bool {
	if s == Unsaid {
		return other
	}
	return s == Yes
}

func (s Switch) String() string {
	switch s {
	case Yes:
		return "true"
	case No:
		return "false"
	}
	return ""
}

// MarshalJSON writes true, false or null.
func (s Switch) MarshalJSON() ([]byte, error) {
	if s == Unsaid {
		return []byte("null"), nil
	}
	return []byte(s.String()), nil
}

// UnmarshalJSON reads true, false or null.
func (s *Switch) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case "true":
		*s = Yes
	case "false":
		*s = No
	case "null":
		*s = Unsaid
	default:
		return errors.New("read switch: write true or false")
	}
	return nil
}

// SwitchOf says yes or no.
func SwitchOf(yes bool) Switch {
	if yes {
		return Yes
	}
	return No
}

// Settings are the operator's wishes that the Wardens agree on. What is absent
// (the zero value) is as each Warden's configuration says. Values are never
// changed in place.
type Settings struct {
	// Revision counts the changes, so that two operators who read the same do
	// not overwrite one another.
	Revision uint64 `json:"revision,omitempty"`
	// Paused: everything is watched, nothing is done.
	Paused     bool     `json:"paused,omitempty"`
	Quorum     int      `json:"quorum,omitempty"`
	DownAfter  Duration `json:"down_after_ns,omitempty"`
	CrashAfter Duration `json:"crash_after_ns,omitempty"`
	// MaxLag is how many bytes a candidate may lack; AnyLag: any number.
	MaxLag int64 `json:"max_lag,omitempty"`
	// Durable: acknowledged writes are kept by a sync set. SyncStrict: rather
	// block than promise less.
	Durable    Switch `json:"durable,omitempty"`
	SyncStrict Switch `json:"sync_strict,omitempty"`
	// Tags are sorted by node; each says something.
	Tags []NodeTags `json:"tags,omitempty"`
}

// Equal reports whether two settings are the same.
func (s *Settings) Equal(o *Settings) bool {
	return s.Revision == o.Revision && s.Paused == o.Paused && s.Quorum == o.Quorum && s.DownAfter == o.DownAfter &&
		s.CrashAfter == o.CrashAfter && s.MaxLag == o.MaxLag && s.Durable == o.Durable && s.SyncStrict == o.SyncStrict &&
		sameList(s.Tags, o.Tags)
}

// Tune reports whether anything is set that a configuration says too.
func (s *Settings) Tune() bool {
	return s.Quorum != 0 || s.DownAfter != 0 || s.CrashAfter != 0 || s.MaxLag != 0 || s.Durable != Unsaid ||
		s.SyncStrict != Unsaid || len(s.Tags) > 0
}

// Tags are an operator's wishes about one node. The zero value wishes nothing.
type Tags struct {
	// NoFailover: it is never made the primary. NoSync: acknowledged writes are
	// not kept on it. NoLoadBalance: clients are not told of it as a replica to
	// read from.
	NoFailover    Switch `json:"nofailover,omitempty"`
	NoLoadBalance Switch `json:"noloadbalance,omitempty"`
	NoSync        Switch `json:"nosync,omitempty"`
	// Priority chooses between replicas that are equally far: the highest one, from
	// 1 to MaxPreference. 0: nothing was said.
	Priority int `json:"failover_priority,omitempty"`
	// ReplicateFrom: it is to receive from that node and not from the primary, as
	// long as that one is a replica of the primary and in step.
	ReplicateFrom NodeID `json:"replicatefrom,omitempty"`
}

// NodeTags are the tags of a node.
type NodeTags struct {
	Node NodeID `json:"node"`
	Tags
}

// TagsOf are a node's in a list, nothing where it has none.
func TagsOf(list []NodeTags, node NodeID) Tags {
	for i := range list {
		if list[i].Node == node {
			return list[i].Tags
		}
	}
	return Tags{}
}

// Over lays these tags over others: what is said here counts.
func (t Tags) Over(below Tags) Tags {
	for _, x := range []struct{ mine, other *Switch }{
		{&t.NoFailover, &below.NoFailover}, {&t.NoLoadBalance, &below.NoLoadBalance}, {&t.NoSync, &below.NoSync},
	} {
		if *x.mine == Unsaid {
			*x.mine = *x.other
		}
	}
	if t.Priority == 0 {
		t.Priority = below.Priority
	}
	if t.ReplicateFrom == "" {
		t.ReplicateFrom = below.ReplicateFrom
	}
	return t
}

// Wish puts the tags into what a look saw. Of failover_priority the highest one
// is preferred, of Observation.Priority the lowest but 0, which excludes; both say
// 100 unless told otherwise. A priority that was not set leaves that of the server
// as it is, and nothing takes back its 0.
func (t Tags) Wish(o Observation) Observation {
	switch {
	case t.NoFailover == Yes:
		o.Priority = 0
	case t.Priority != 0 && o.Priority != 0:
		o.Priority = MaxPreference + 1 - t.Priority
	}
	o.NoSync = o.NoSync || t.NoSync == Yes
	o.Unannounced = o.Unannounced || t.NoLoadBalance == Yes
	if t.ReplicateFrom != "" {
		o.From = t.ReplicateFrom
	}
	return o
}

// tag returns a copy of the settings in which one node's tags are changed.
func (s Settings) tag(node NodeID, change func(*Tags)) Settings {
	s.Tags = slices.Clone(s.Tags)
	i, found := slices.BinarySearchFunc(s.Tags, node, func(t NodeTags, id NodeID) int { return strings.Compare(string(t.Node), string(id)) })
	if !found {
		s.Tags = slices.Insert(s.Tags, i, NodeTags{Node: node})
	}
	change(&s.Tags[i].Tags)
	if s.Tags[i].Tags == (Tags{}) {
		s.Tags = slices.Delete(s.Tags, i, i+1)
	}
	if len(s.Tags) == 0 {
		s.Tags = nil
	}
	return s
}
