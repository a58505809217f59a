package main

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/spineldb/warden/warden"
)

// report is what one Warden said, or why it said nothing.
type report struct {
	Server string             `json:"server"`
	ID     warden.WardenID    `json:"id,omitempty"`
	Error  string             `json:"error,omitempty"`
	Self   *warden.SelfView   `json:"self,omitempty"`
	Groups []warden.GroupView `json:"groups,omitempty"`
}

func (r report) name() string {
	if r.ID != "" {
		return r.ID.Short()
	}
	return r.Server
}

// view is what the Warden says of one group.
func (r report) view(group warden.GroupName) (warden.GroupView, bool) {
	i := slices.IndexFunc(r.Groups, func(g warden.GroupView) bool { return g.Name == group })
	if i < 0 {
		return warden.GroupView{}, false
	}
	return r.Groups[i], true
}

// survey asks one Warden and then, at the same time, all others it knows of.
// The first report is of the Warden asked first; the others are sorted.
func (t target) survey(ctx context.Context) ([]report, error) {
	var s statusAnswer
	r, err := t.first(ctx, &s, "WARDEN", "STATUS")
	if err != nil {
		return nil, err
	}
	defer r.close()
	self := s.Self
	reports := []report{{Server: r.addr, ID: self.ID, Self: &self, Groups: s.Groups}}
	others := t.others(r.addr, s)
	answers := make([]report, len(others))
	var wait sync.WaitGroup
	for i, o := range others {
		wait.Go(func() { answers[i] = t.askOther(ctx, o) })
	}
	wait.Wait()
	for _, a := range answers {
		// One Warden may have been named by two addresses.
		if !slices.ContainsFunc(reports, func(have report) bool { return a.ID != "" && have.ID == a.ID && have.Error == "" }) {
			reports = append(reports, a)
		}
	}
	slices.SortStableFunc(reports[1:], func(a, b report) int {
		return strings.Compare(string(a.ID)+a.Server, string(b.ID)+b.Server)
	})
	return reports, nil
}

// peer is another Warden's address and, if known, its id.
type peer struct {
	addr string
	id   warden.WardenID
}

// others are the Wardens that the first one knows of, and the other servers
// the operator named.
func (t target) others(first string, s statusAnswer) []peer {
	var found []peer
	add := func(addr string, id warden.WardenID) {
		known := func(p peer) bool { return p.addr == addr || id != "" && p.id == id }
		if addr != "" && addr != first && id != s.Self.ID && !slices.ContainsFunc(found, known) {
			found = append(found, peer{addr, id})
		}
	}
	for _, g := range s.Groups {
		for _, p := range g.Peers {
			add(p.Client, p.ID)
		}
	}
	for _, addr := range t.servers {
		add(addr, "")
	}
	return found
}

func (t target) askOther(ctx context.Context, o peer) report {
	r := t.open(o.addr)
	defer r.close()
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	var s statusAnswer
	if err := r.askJSON(ctx, &s, "WARDEN", "STATUS"); err != nil {
		return report{Server: o.addr, ID: o.id, Error: why(err)}
	}
	return report{Server: o.addr, ID: s.Self.ID, Self: &s.Self, Groups: s.Groups}
}

// groupsOf are the names of all groups in the reports, sorted.
func groupsOf(reports []report) []warden.GroupName {
	var names []warden.GroupName
	for _, r := range reports {
		for _, g := range r.Groups {
			names = append(names, g.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
