package postgres

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// seen is the answer to lookQuery.
type seen struct {
	Standby  bool   `json:"standby"`
	Timeline int64  `json:"timeline"`
	History  string `json:"history"`
	System   string `json:"system"`
	Started  string `json:"started"`
	Version  string `json:"version"`
	ReadOnly bool   `json:"readonly"` // in the file of ALTER SYSTEM
	Fenced   string `json:"fenced"`
	Waits    string `json:"waits"`
	Written  int64  `json:"written"` // by a primary, and on its disk
	Receiver *struct {
		Status string `json:"status"`
		Host   string `json:"host"`
		Port   int    `json:"port"`
	} `json:"receiver"`
	Standing  *standing  `json:"standing"`
	Receivers []receiver `json:"receivers"`

	// settled: it is sealed and has replayed everything that is here.
	settled bool
}

// standing is what only a standby says.
type standing struct {
	Replayed  int64  `json:"replayed"`
	Slot      string `json:"slot"`
	Conninfo  string `json:"conninfo"`
	Closed    bool   `json:"closed"`    // primary_conninfo is '', now and in the file
	Kept      string `json:"kept"`      // what a seal has kept of the settings before it
	Received  *int64 `json:"received"`  // nil: no receiver was started in this life
	Receivers int    `json:"receivers"` // receiver processes, also those that do not stream yet
	Startup   string `json:"startup"`   // what the process that replays waits for
}

// nameBefore is under which name a sealed standby streamed until then, also where
// that is its address: one that was built anew does not pass for a member.
func (s *standing) nameBefore() string {
	var kept closed
	if json.Unmarshal([]byte(s.Kept), &kept) != nil {
		return ""
	}
	c, err := parseConninfo(kept.Conninfo)
	if err != nil {
		return ""
	}
	return c.get("application_name")
}

// waitsForMore reports whether the process that replays has read all WAL that is
// here.
func (s *standing) waitsForMore() bool {
	return s.Startup == waitRetry || s.Startup == waitStream
}

// What the process that replays waits for when it has replayed everything: for
// the next try to get more, or for the receiver.
const (
	waitRetry  = "RecoveryRetrieveRetryInterval"
	waitStream = "RecoveryWalStream"
)

// closed reports whether the standby has nobody to receive from and does not.
func (s seen) closed() bool {
	return s.Standby && s.Standing != nil && s.Standing.Closed && s.Standing.Receivers == 0
}

// position is how far the node's data goes. What a standby has received counts,
// replayed or not. But when its stream has ended and all that can be replayed
// has been, what lies beyond is the beginning of a record that never came whole:
// nothing acknowledged, and nothing that keeps it from following another line.
func (s seen) position() int64 {
	at := s.Standing
	if !s.Standby || at == nil {
		return s.Written
	}
	streams := s.Receiver != nil && s.Receiver.Status == "streaming"
	if at.Received == nil || s.settled || !streams && at.waitsForMore() {
		return at.Replayed
	}
	return max(*at.Received, at.Replayed)
}

// observation translates what was seen on node.
func (s seen) observation(node warden.NodeID, known []warden.NodeID) warden.Observation {
	o := warden.Observation{
		Health: warden.HealthGood, Role: warden.RolePrimary, Position: s.position(), RunID: s.Started, Priority: 100,
		Lineage: lineage(s.System, s.Timeline), LineageBefore: lineage(s.System, s.before()),
		Forks: s.forks(), Waits: s.Waits,
	}
	o.Server, _, _ = strings.Cut("postgresql "+s.Version, " (")
	if !s.Standby {
		o.NoDemote, o.ReadOnly, o.NeedsRejoin = true, s.ReadOnly || s.Fenced != "", s.Fenced != ""
	}
	if s.Standby && s.Standing != nil {
		if s.closed() && s.Standing.Received == nil && !s.settled {
			// It was restarted and does not know yet what it has received and
			// acknowledged before: its position reads too low.
			return unfit(warden.HealthLoading, "sealed and restarted: it has not read all its WAL yet")
		}
		o.Sealed = s.closed()
		s.follows(&o)
	}
	for _, r := range s.Receivers {
		if id := r.listens(node, known); id != "" {
			o.Replicas = append(o.Replicas, warden.Replica{Node: id, Online: r.State == "streaming", Position: r.Flushed, Name: r.Name})
		}
	}
	o.Text = s.text(o)
	return o
}

// follows says whom a standby follows, and under which name.
func (s seen) follows(o *warden.Observation) {
	o.Role = warden.RoleReplica
	if c, err := parseConninfo(s.Standing.Conninfo); err == nil {
		o.Upstream, o.Member = c.upstream(), c.member()
	}
	if o.Sealed {
		o.Member = s.Standing.nameBefore()
	}
	if r := s.Receiver; r != nil && r.Status == "streaming" {
		// Whom it really hears, whatever is set by now.
		if sender := makeNode(r.Host, r.Port); sender != "" {
			o.Upstream = sender
		}
		o.LinkUp, o.NoSlot = true, s.Standing.Slot == ""
	}
}

// text is for operators, in the shape of INFO.
func (s seen) text(o warden.Observation) string {
	lines := []string{"# Replication", "role:" + string(o.Role), "timeline:" + strconv.FormatInt(s.Timeline, 10),
		"system_identifier:" + s.System, "position:" + strconv.FormatInt(o.Position, 10), "synchronous_standby_names:" + s.Waits}
	if s.Standing != nil {
		lines = append(lines, "replayed:"+strconv.FormatInt(s.Standing.Replayed, 10), "upstream:"+string(o.Upstream),
			"streaming:"+strconv.FormatBool(o.LinkUp), "sealed:"+strconv.FormatBool(o.Sealed))
	} else {
		lines = append(lines, "default_transaction_read_only:"+strconv.FormatBool(s.ReadOnly), "fenced_for:"+s.Fenced)
	}
	for _, r := range o.Replicas {
		lines = append(lines, fmt.Sprintf("standby:%s,name=%s,streaming=%v,position=%d", r.Node, r.Name, r.Online, r.Position))
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// lineage names a line of data: the cluster it belongs to, and its timeline.
func lineage(system string, timeline int64) string {
	if system == "" || timeline < 1 {
		return ""
	}
	return system + "/" + strconv.FormatInt(timeline, 10)
}

// forks are the lines that the present one grew out of, as its history file
// tells; none where that may not be read.
func (s seen) forks() []warden.Fork {
	var out []warden.Fork
	for _, l := range ParseHistory(s.History) {
		if l.Timeline < s.Timeline {
			out = append(out, warden.Fork{Lineage: lineage(s.System, l.Timeline), End: l.Position})
		}
	}
	return out
}

// Left is a timeline that was left at a position, in bytes.
type Left struct{ Timeline, Position int64 }

// ParseHistory reads a timeline's history file, the oldest timeline first. Lines
// that are none are passed over.
func ParseHistory(text string) []Left {
	var out []Left
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, err := strconv.ParseInt(fields[0], 10, 64)
		at, ok := parseLSN(fields[1])
		if err == nil && ok && n > 0 {
			out = append(out, Left{n, at})
		}
	}
	return out
}

// parseLSN reads a position as the server writes it, "16/B374D848".
func parseLSN(text string) (int64, bool) {
	high, low, found := strings.Cut(text, "/")
	h, err1 := strconv.ParseUint(high, 16, 31)
	l, err2 := strconv.ParseUint(low, 16, 32)
	return int64(h<<32 | l), found && err1 == nil && err2 == nil
}

// before is the timeline from which the present one branched off, 0 for none.
// Where the history file cannot be read it is taken to be the number before;
// that is so unless several nodes were promoted from one line.
func (s seen) before() int64 {
	parent := s.Timeline - 1
	if forks := s.forks(); len(forks) > 0 {
		_, last, _ := strings.Cut(forks[len(forks)-1].Lineage, "/")
		if n, err := strconv.ParseInt(last, 10, 64); err == nil {
			parent = n
		}
	}
	return parent
}
