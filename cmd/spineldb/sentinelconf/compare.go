package sentinelconf

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// readable is the state without known replicas and Sentinels that could not be
// read again. They come from the network, and one of them must not keep
// everything else from being saved.
func (s State) readable() State {
	s = s.Clone()
	for i := range s.Groups {
		g := &s.Groups[i]
		var addresses []Address
		g.Replicas = slices.DeleteFunc(g.Replicas, func(a Address) bool {
			bad := !s.readableAddress(a) || slices.ContainsFunc(addresses, a.same)
			addresses = append(addresses, a)
			return bad
		})
		var ids []string
		g.Sentinels = slices.DeleteFunc(g.Sentinels, func(n Neighbour) bool {
			bad := !s.readableAddress(n.Address) || n.ID == "" || strings.ContainsFunc(n.ID, isControl) || slices.Contains(ids, n.ID)
			ids = append(ids, n.ID)
			return bad
		})
	}
	return s
}

func (s State) readableAddress(a Address) bool {
	_, err := netip.ParseAddr(a.Host)
	return a.Port >= 1 && a.Port <= 65535 && (err == nil || s.ResolveHostnames && config.IsHostName(a.Host))
}

// canonicalHost is the one form of an address or name.
func canonicalHost(host string) string { return warden.MakeNode(host, 1).Host() }

// normal is the state in one form: epochs raised, addresses canonical, commands
// in upper case, nothing empty that could be nil.
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
		g.Host = canonicalHost(g.Host)
		for j := range g.Renames {
			g.Renames[j].From = strings.ToUpper(g.Renames[j].From)
		}
		for j := range g.Replicas {
			g.Replicas[j].Host = canonicalHost(g.Replicas[j].Host)
		}
		for j := range g.Sentinels {
			g.Sentinels[j].Host = canonicalHost(g.Sentinels[j].Host)
		}
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
	place := map[string]int{}
	for i, g := range other.Groups {
		place[g.Name] = i
	}
	for _, g := range s.Groups {
		i, ok := place[g.Name]
		if !ok {
			return "group " + strconv.Quote(g.Name)
		}
		if what := g.differs(other.Groups[i]); what != "" {
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
