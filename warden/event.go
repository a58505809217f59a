package warden

// Level sorts events as Redis Sentinel does. Debug events are never published.
type Level string

// Levels of events, least important first.
const (
	LevelDebug   Level = "debug"
	LevelVerbose Level = "verbose"
	LevelNotice  Level = "notice"
	LevelWarning Level = "warning"
)

// Event is something that happened, under its stable name. Name is the
// publish channel ("+sdown"), Payload the one line of text that subscribers
// get, in the form Redis Sentinel fixed:
//
//	<type> <name> <ip> <port> [@ <group> <primary ip> <primary port>]
type Event struct {
	Group   GroupName `json:"group,omitempty"`
	Name    string    `json:"event"`
	Level   Level     `json:"level"`
	Payload string    `json:"payload"`
	Node    NodeID    `json:"node,omitempty"`
	Epoch   Epoch     `json:"epoch,omitempty"`
}

// EventRecord is one event as a Warden's log of events has it.
type EventRecord struct {
	// Seq counts the events of this Warden from 1, through its restarts.
	Seq    int64     `json:"seq"`
	UnixMS int64     `json:"unix_ms"` // wall clock
	Event  string    `json:"event"`
	Level  Level     `json:"level"`
	Group  GroupName `json:"group,omitempty"`
	// Payload is the text that subscribers get.
	Payload string `json:"payload"`
}
