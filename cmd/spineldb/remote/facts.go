package remote

import (
	"context"
	"errors"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// Facts is the reply to WARDEN FACTS: what a Warden tells of itself and of its
// machine, so that a doctor can compare it with the others. It holds no secret.
type Facts struct {
	ID      warden.WardenID `json:"id"`
	Version string          `json:"version"`
	// UnixMS is the wall clock of its machine when it answered.
	UnixMS int64 `json:"unix_ms"`
	Disk   Disk  `json:"disk"`
	// Settings are those at the top of its configuration file, Groups those of
	// each group, as it runs with them.
	Settings []config.Setting `json:"settings"`
	Groups   []GroupSettings  `json:"groups"`
}

// Disk says how long the store's last commits took until they were on disk.
type Disk struct {
	// Commits are how many of them are summed up here, Failed how many failed
	// since the process began.
	Commits  int             `json:"commits"`
	Failed   int             `json:"failed"`
	MedianNS warden.Duration `json:"median_ns"`
	WorstNS  warden.Duration `json:"worst_ns"`
}

// GroupSettings are those of one group.
type GroupSettings struct {
	Name     warden.GroupName `json:"name"`
	Settings []config.Setting `json:"settings"`
}

// Answer is a reply to WARDEN FACTS with what was found out by asking for it.
type Answer struct {
	Facts
	// Ahead is by how much its clock is ahead of ours, to within Within.
	Ahead, Within time.Duration
}

// Facts asks the Warden of a report for them. Its error is that of Ask.
func (t Target) Facts(ctx context.Context, of Report) (Answer, error) {
	r := t.Open(of.Server)
	defer r.Close()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	// The first question makes the connection, which is not to be counted among
	// what the second one takes.
	if _, err := r.Ask(ctx, "PING"); err != nil {
		return Answer{}, err
	}
	var a Answer
	sent := time.Now()
	if err := r.AskJSON(ctx, &a.Facts, "WARDEN", "FACTS"); err != nil {
		return Answer{}, err
	}
	if a.ID == "" {
		return Answer{}, errors.New("its answer is not a Warden's")
	}
	a.Within = time.Since(sent) / 2
	a.Ahead = time.UnixMilli(a.UnixMS).Sub(sent.Add(a.Within))
	return a, nil
}
