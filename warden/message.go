package warden

// Message is what one Warden says to another about one group. The set of
// bodies is closed; exactly one of the pointers is set. Messages may be lost,
// repeated, delayed and reordered: every rule that reads one must hold then.
type Message struct {
	Group GroupName `json:"group"`
	From  WardenID  `json:"from"`
	Run   Run       `json:"run"`
	// Birth is the register the sender speaks about; empty before the first
	// agreement.
	Birth Birth `json:"birth,omitempty"`

	Status  *Status      `json:"status,omitempty"`
	Ask     *VoteRequest `json:"ask,omitempty"`
	Vote    *Vote        `json:"vote,omitempty"`
	Propose *Proposal    `json:"propose,omitempty"`
	Accept  *Accepted    `json:"accept,omitempty"`
	Learn   *Learn       `json:"learn,omitempty"`
	Renew   *Renew       `json:"renew,omitempty"`
	Renewed *Renewed     `json:"renewed,omitempty"`
}

// Kind names the body for logs and tests.
func (m Message) Kind() string {
	switch {
	case m.Status != nil:
		return "status"
	case m.Ask != nil:
		return "ask"
	case m.Vote != nil:
		return "vote"
	case m.Propose != nil:
		return "propose"
	case m.Accept != nil:
		return "accept"
	case m.Learn != nil:
		return "learn"
	case m.Renew != nil:
		return "renew"
	case m.Renewed != nil:
		return "renewed"
	}
	return "empty"
}

// Opinion is what the sender thinks of one node at the moment of sending.
type Opinion struct {
	Node NodeID `json:"node"`
	// Down: subjectively down, for the reason Why.
	Down bool   `json:"down"`
	Why  string `json:"why,omitempty"`
	// Crash: down by hard evidence (refused connections, a wrong role, lost
	// data), not by silence.
	Crash bool `json:"crash,omitempty"`
	// Role and Upstream are what the node itself says, when it is up.
	Role     Role   `json:"role,omitempty"`
	Upstream NodeID `json:"upstream,omitempty"`
	// Lineage: the node's data belongs to the group, as the sender sees it.
	Lineage bool `json:"lineage,omitempty"`
}

// Status is sent at once when an opinion changes, and repeated every hello
// interval. It carries no promise and is never a vote.
type Status struct {
	// Chosen is the version of the newest topology known to be chosen; a peer
	// that knows a newer one answers with Learn.
	Chosen Version `json:"chosen"`
	// Tilt: the sender distrusts its own clock and has no opinions now.
	Tilt bool `json:"tilt,omitempty"`
	// Mute: the sender cannot write its store, and neither votes nor leads.
	Mute bool `json:"mute,omitempty"`
	// Left: the sender has left the group's Birth.
	Left bool `json:"left,omitempty"`
	// Client is the address of the sender's client port, as it announces it.
	Client string `json:"client,omitempty"`
	// Primary is whom the sender serves as primary, agreed or provisional.
	Primary  NodeID    `json:"primary,omitempty"`
	Opinions []Opinion `json:"opinions,omitempty"`
	// Stranded are the nodes that the sender knows to need a rejoin. Others may not
	// have seen that: a rejoin stops the server.
	Stranded []NodeID `json:"stranded,omitempty"`
	// Hears are the Wardens the sender has heard of this group lately.
	Hears []WardenID `json:"hears,omitempty"`
}

// VoteRequest asks for a vote in an epoch (Paxos prepare).
type VoteRequest struct {
	Epoch  Epoch  `json:"epoch"`
	Reason Reason `json:"reason"`
	// Primary is the node the reason is about: the one that is down, the one
	// to adopt, or at the first agreement the one proposed.
	Primary NodeID `json:"primary,omitempty"`
	// List is the proposed list of Wardens at the first agreement.
	List []WardenID `json:"list,omitempty"`
	// Lost are the Wardens given up, with ReasonRecover.
	Lost []WardenID `json:"lost,omitempty"`
}

// Vote answers a VoteRequest. A denial says why; nothing else in it counts.
type Vote struct {
	Epoch   Epoch `json:"epoch"`
	Granted bool  `json:"granted"`
	// Why a vote was denied, in words, and the epoch that stood in the way.
	Why     string `json:"why,omitempty"`
	Promise Epoch  `json:"promise,omitempty"`
	// Newest is the newest topology the voter accepted or knows to be chosen;
	// only in a grant.
	Newest Topology `json:"newest"`
}

// Proposal asks to accept a topology (Paxos accept).
type Proposal struct {
	Topology Topology `json:"topology"`
}

// Accepted answers a Proposal.
type Accepted struct {
	Version Version `json:"version"`
	OK      bool    `json:"ok"`
	Why     string  `json:"why,omitempty"`
	Promise Epoch   `json:"promise,omitempty"`
	// Down is the voter's own opinion of the primary that is being replaced.
	Down bool `json:"down"`
}

// Learn tells that a topology is chosen.
type Learn struct {
	Topology Topology `json:"topology"`
}

// Renew asks a voter to go on holding its vote for the leader.
type Renew struct {
	Epoch  Epoch  `json:"epoch"`
	Round  uint64 `json:"round"`
	Reason Reason `json:"reason"`
	// Release gives the lease back instead: the sender's last message of the
	// epoch. It is not answered.
	Release bool `json:"release,omitempty"`
}

// Renewed answers a Renew.
type Renewed struct {
	Epoch Epoch  `json:"epoch"`
	Round uint64 `json:"round"`
	OK    bool   `json:"ok"`
}

// FormatMajor is the major version of messages and of the store. Unknown
// fields are ignored; a newer major version is refused with an event.
const FormatMajor = 1
