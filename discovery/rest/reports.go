package rest

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/spineldb/warden/warden"
)

// ReportBrief is one entry of GET /reports.
type ReportBrief struct {
	ID      string          `json:"id"`
	Warden  warden.WardenID `json:"warden"`
	UnixMS  int64           `json:"unix_ms"`
	Took    warden.Duration `json:"took_ns"`
	Reason  warden.Reason   `json:"reason"`
	Resumed bool            `json:"resumed,omitempty"`
	Verdict warden.Verdict  `json:"verdict"`
	Code    string          `json:"code,omitempty"`
	Times   int             `json:"times"`
	Old     warden.NodeID   `json:"old,omitempty"`
	New     warden.NodeID   `json:"new,omitempty"`
	Epoch   warden.Epoch    `json:"epoch,omitempty"`
	Lacks   int64           `json:"lacks"`
	// Headline tells it in one sentence.
	Headline string `json:"headline"`
}

// WholeReport answers GET /reports/{id}.
type WholeReport struct {
	warden.Report
	// Words tell it in sentences.
	Words []string `json:"words"`
}

// reportsOf are the reports of the group that a request is about.
func (s *Server) reportsOf(q *request) (warden.GroupName, []warden.Report, *answer) {
	given, err := q.parameters("group")
	if err != nil {
		return "", nil, refuse(http.StatusBadRequest, "usage", err.Error())
	}
	c, a := s.inGroup(q, given)
	if a != nil {
		return "", nil, a
	}
	if s.options.Reports == nil {
		return "", nil, refuse(http.StatusNotImplemented, "no-reports", "this Warden keeps no reports")
	}
	all, err := s.options.Reports(c.view.Name)
	if err != nil {
		s.log.Warn("reports cannot be read", "group", string(c.view.Name), "error", err)
		return "", nil, refuse(http.StatusServiceUnavailable, "disk", "the reports cannot be read: look at the disk of data_dir, and ask another Warden")
	}
	return c.view.Name, all, nil
}

// listReports answers GET /reports, the oldest first.
func (s *Server) listReports(q *request) *answer {
	group, all, a := s.reportsOf(q)
	if a != nil {
		return a
	}
	briefs := make([]ReportBrief, len(all))
	for i := range all {
		r := &all[i]
		briefs[i] = ReportBrief{r.ID, r.Warden, r.UnixMS, r.Took, r.Reason, r.Resumed, r.Verdict, r.Code, r.Times, r.Old, r.New, r.Epoch, r.Lacks, r.Headline()}
	}
	return render(http.StatusOK, struct {
		Group   warden.GroupName `json:"group"`
		Reports []ReportBrief    `json:"reports"`
	}{group, briefs})
}

// showReport answers GET /reports/{id}.
func (s *Server) showReport(q *request) *answer {
	group, all, a := s.reportsOf(q)
	if a != nil {
		return a
	}
	i := slices.IndexFunc(all, func(r warden.Report) bool { return r.ID == q.report })
	if i < 0 {
		return refuse(http.StatusNotFound, "unknown-report", fmt.Sprintf("no report %q of group %s here: GET /groups/%s/reports lists them, and another Warden may have it", clip(q.report), group, group))
	}
	return render(http.StatusOK, WholeReport{all[i], all[i].Words()})
}
