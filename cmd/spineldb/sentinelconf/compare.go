package sentinelconf

import (
	"reflect"
	"strconv"
)

// normal is the state in the one form in which it is read: epochs raised,
// nothing empty that could be nil.
func (s State) normal() State {
	s = s.Clone()
	if len(s.Users) == 0 {
		s.Users = nil
	}
	if len(s.Groups) == 0 {
		s.Groups = nil
	}
	for i := range s.Groups {
		g := &s.Groups[i]
		s.CurrentEpoch = max(s.CurrentEpoch, g.ConfigEpoch)
		if len(g.Renames) == 0 {
			g.Renames = nil
		}
		if len(g.Replicas) == 0 {
			g.Replicas = nil
		}
		if len(g.Sentinels) == 0 {
			g.Sentinels = nil
		}
	}
	return s
}

// differs names the first thing in which two normal states differ, without its
// value; empty if there is none. The order of groups, of what is known and of
// renamed commands is that of the file, so it does not count.
func (s State) differs(other State) string {
	if len(s.Groups) != len(other.Groups) {
		return "the list of groups"
	}
	for _, g := range s.Groups {
		o := other.Group(g.Name)
		if o == nil {
			return "group " + strconv.Quote(g.Name)
		}
		if what := g.differs(*o); what != "" {
			return what + " of group " + strconv.Quote(g.Name)
		}
	}
	s.Groups, other.Groups = nil, nil
	if !sameSet(s.Users, other.Users) {
		return "the list of users"
	}
	s.Users, other.Users = nil, nil
	return firstField(reflect.ValueOf(s), reflect.ValueOf(other))
}

func (g Group) differs(o Group) string {
	switch {
	case !sameSet(g.Renames, o.Renames):
		return "rename-command"
	case !sameSet(g.Replicas, o.Replicas):
		return "known-replica"
	case !sameSet(g.Sentinels, o.Sentinels):
		return "known-sentinel"
	}
	g.Renames, g.Replicas, g.Sentinels = o.Renames, o.Replicas, o.Sentinels
	return firstField(reflect.ValueOf(g), reflect.ValueOf(o))
}

// sameSet compares without regard to the order. The members of either list are
// different from one another.
func sameSet[T comparable](a, b []T) bool {
	seen := map[T]bool{}
	for _, v := range a {
		seen[v] = true
	}
	for _, v := range b {
		if !seen[v] {
			return false
		}
	}
	return len(a) == len(b)
}

func firstField(a, b reflect.Value) string {
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			return a.Type().Field(i).Name
		}
	}
	return ""
}
