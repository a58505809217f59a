package warden

// Drill says what would happen if the primary of a group died now, as one Warden
// sees it. Nothing is asked of anybody for it and nothing is done, so it is as
// old as the newest looks.
type Drill struct {
	Group   GroupName `json:"group"`
	Primary NodeID    `json:"primary"`
	// Possible: a failover would be agreed and somebody promoted. Obstacles say
	// why not; Notes are what else should be known.
	Possible  bool     `json:"possible"`
	Obstacles []string `json:"obstacles,omitempty"`
	Notes     []string `json:"notes,omitempty"`

	// Voters are the listed Wardens that could vote now, of Listed; a majority of
	// the list and Quorum are needed.
	Voters   int `json:"voters"`
	Listed   int `json:"listed"`
	Majority int `json:"majority"`
	Quorum   int `json:"quorum"`
	// Leader is the Warden whose turn comes first, Turn how long it waits for it.
	// Another one leads if that one is not quick enough.
	Leader WardenID `json:"leader,omitempty"`
	Turn   Duration `json:"turn_ns"`

	// Candidate would be promoted; empty: nobody. Lacks is how many bytes it has
	// less than the primary was last seen to have, -1 when that is not known.
	Candidate NodeID `json:"candidate,omitempty"`
	Lacks     int64  `json:"lacks"`
	// Keeps: whatever the primary has acknowledged is kept (quorum durability).
	Keeps bool `json:"keeps_acknowledged,omitempty"`
	// Nodes are all nodes, with what speaks for or against each.
	Nodes []DrillNode `json:"nodes"`

	// Crash is when a primary whose process ends is down for good, Silence when
	// one is whose host says nothing any more; both count from its last answer.
	Crash           Duration `json:"crash_after_ns"`
	Silence         Duration `json:"down_after_ns"`
	FailoverTimeout Duration `json:"failover_timeout_ns"`
}

// DrillNode is what a drill says of one node.
type DrillNode struct {
	Node   NodeID `json:"node"`
	Chosen bool   `json:"chosen,omitempty"`
	Why    string `json:"why"`
}
