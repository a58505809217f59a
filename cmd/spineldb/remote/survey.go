package remote

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/spineldb/warden/warden"
)

// Status is the reply to WARDEN STATUS.
type Status struct {
	Self   warden.SelfView    `json:"self"`
	Groups []warden.GroupView `json:"groups"`
}

// Report is what one Warden said, or why it said nothing.
type Report struct {
	Server string             `json:"server"`
	ID     warden.WardenID    `json:"id,omitempty"`
	Error  string             `json:"error,omitempty"`
	Self   *warden.SelfView   `json:"self,omitempty"`
	Groups []warden.GroupView `json:"groups,omitempty"`
}

// Name is the short id of the Warden, or where it was looked for.
func (r Report) Name() string {
	if r.ID != "" {
		return r.ID.Short()
	}
	return r.Server
}

// View is what the Warden says of one group.
func (r Report) View(group warden.GroupName) (warden.GroupView, bool) {
	i := slices.IndexFunc(r.Groups, func(g warden.GroupView) bool { return g.Name == group })
	if i < 0 {
		return warden.GroupView{}, false
	}
	return r.Groups[i], true
}

// Survey asks one Warden and then, at the same time, all others it knows of.
// The first report is of the Warden asked first; the others are sorted. Its
// error is that of First: whoever else does not answer has a report with Error.
func (t Target) Survey(ctx context.Context) ([]Report, error) {
	var s Status
	r, err := t.First(ctx, &s, "WARDEN", "STATUS")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	self := s.Self
	reports := []Report{{Server: r.Addr, ID: self.ID, Self: &self, Groups: s.Groups}}
	others := t.others(r.Addr, s)
	answers := make([]Report, len(others))
	var wait sync.WaitGroup
	for i, o := range others {
		wait.Go(func() { answers[i] = t.askOther(ctx, o) })
	}
	wait.Wait()
	for _, a := range answers {
		// One Warden may have been named by two addresses.
		if !slices.ContainsFunc(reports, func(have Report) bool { return a.ID != "" && have.ID == a.ID && have.Error == "" }) {
			reports = append(reports, a)
		}
	}
	slices.SortStableFunc(reports[1:], func(a, b Report) int {
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
func (t Target) others(first string, s Status) []peer {
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
	for _, addr := range t.Servers {
		add(addr, "")
	}
	return found
}

func (t Target) askOther(ctx context.Context, o peer) Report {
	r := t.Open(o.addr)
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var s Status
	if err := r.AskJSON(ctx, &s, "WARDEN", "STATUS"); err != nil {
		return Report{Server: o.addr, ID: o.id, Error: Why(err)}
	}
	return Report{Server: o.addr, ID: s.Self.ID, Self: &s.Self, Groups: s.Groups}
}

// GroupsOf are the names of all groups in the reports, sorted.
func GroupsOf(reports []Report) []warden.GroupName {
	var names []warden.GroupName
	for _, r := range reports {
		for _, g := range r.Groups {
			names = append(names, g.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Better reports whether the view a of a group is to be believed rather than b:
// what is agreed, then what is fresh, then what is newer.
func Better(a, b warden.GroupView) bool {
	switch {
	case a.Provisional != b.Provisional:
		return !a.Provisional
	case a.Agreed != b.Agreed:
		return a.Agreed
	}
	return a.Topology.Version.Newer(b.Topology.Version)
}
