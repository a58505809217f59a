package rest

import (
	"errors"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// someReports are a refusal and a failover, with every field filled in.
func someReports(group warden.GroupName) ([]warden.Report, error) {
	base := warden.ReportStep{Version: warden.Version{Epoch: 6, Step: 2}, Phase: warden.PhasePromoting, Reason: warden.ReasonFailover, Primary: nodeC, Leader: wTwo}
	return []warden.Report{
		{ID: "r1.1-11111111", Group: group, Warden: wOne, UnixMS: 1000, Reason: warden.ReasonFailover, Verdict: warden.VerdictRefused, Code: "paused",
			Text: "the group is paused: resume it", Times: 1, Old: nodeB, Lacks: -1},
		{ID: reportID, Group: group, Warden: wOne, UnixMS: 2000, Took: warden.Second, Reason: warden.ReasonFailover, Resumed: true, Verdict: warden.VerdictDone,
			Code: "x", Text: "more", Times: 2, Old: nodeB, New: nodeA, Cause: "silent for 5s", Epoch: 7, Base: &base, Before: []warden.ReportStep{base}, Lacks: 5, Keeps: true,
			Wardens: []warden.ReportWarden{{Warden: wTwo, Down: true, Vote: "granted"}}, Nodes: []warden.ReportNode{{Round: 1, Node: nodeA, Chosen: true, Why: "chosen"}},
			Stages: []warden.ReportStage{{Name: "down", Took: warden.Second}}, Orders: []warden.ReportOrder{{Kind: warden.ActPromote, Node: nodeA, Outcome: warden.Done}},
			Story: []string{"+0s elected"}},
	}, nil
}

// Goal: the reports of a group are listed, the oldest first, and each is shown as a
// whole, also in words; one that there is not is not found.
func TestReports(t *testing.T) {
	s := open(t)
	for _, path := range []string{"/groups/mymaster/reports", "/reports", "/reports?group=mymaster"} {
		list := decode[struct {
			Group   warden.GroupName
			Reports []ReportBrief
		}](t, s.get(path))
		if list.Group != "mymaster" || len(list.Reports) != 2 || list.Reports[0].Code != "paused" || list.Reports[1].New != nodeA || !strings.Contains(list.Reports[1].Headline, "done") {
			t.Errorf("%s: %+v", path, list)
		}
	}
	whole := decode[WholeReport](t, s.get("/groups/mymaster/reports/"+reportID))
	if whole.ID != reportID || whole.Cause != "silent for 5s" || len(whole.Words) < 5 || len(whole.Orders) != 1 {
		t.Errorf("%+v", whole)
	}
	for path, status := range map[string]int{"/groups/mymaster/reports/9-x": 404, "/groups/mymaster/reports/a/b": 404, "/groups/mymaster/reports/": 404,
		"/groups/nobody/reports": 404, "/groups/mymaster/reports?x=1": 400, "/groups/mymaster/nodes/" + nodeA + "/reports": 404} {
		if r := s.get(path); r.status != status || !strings.Contains(r.body, `"text"`) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// Goal: a disk that cannot be read, and a Warden without reports, say so.
func TestNoReports(t *testing.T) {
	broken := open(t, func(o *Options) {
		o.Reports = func(warden.GroupName) ([]warden.Report, error) {
			return nil, errors.New("input/output error of /secret/place")
		}
	})
	if r := broken.get("/reports"); r.status != 503 || strings.Contains(r.body, "secret") {
		t.Errorf("%d %s", r.status, r.body)
	}
	none := open(t, func(o *Options) { o.Reports = nil })
	if r := none.get("/reports/" + reportID); r.status != 501 {
		t.Errorf("%d %s", r.status, r.body)
	}
}
