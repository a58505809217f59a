package remote

import (
	"context"

	"github.com/spineldb/warden/warden"
)

// FailoverReports asks one Warden for reports of a group: what is their number, or
// the ID of one.
func (t Target) FailoverReports(ctx context.Context, from Report, group, what string) ([]warden.Report, error) {
	r := t.Open(from.Server)
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var list struct {
		Reports []warden.Report `json:"reports"`
	}
	err := r.AskJSON(ctx, &list, "WARDEN", "REPORTS", group, what)
	return list.Reports, err
}
