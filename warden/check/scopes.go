package check

import "github.com/spineldb/warden/warden"

var two = []warden.WardenID{"w1", "w2"}

// Scopes are those that have been measured (docs/verification.md).
var Scopes = []Scope{
	{Name: "tiny", Says: "one candidate, one epoch",
		Epochs: 1, Candidates: all[:1], Quorum: 2, Blind: all, Orders: true},
	{Name: "votes", Says: "the register alone, no orders: two candidates, two epochs, a crash",
		Epochs: 2, Candidates: two, Quorum: 2, Blind: all, Crashes: 1},
	{Name: "failover", Says: "two candidates in two epochs, with their orders",
		Epochs: 2, Candidates: two, Quorum: 2, Blind: all, Orders: true},
	{Name: "heir", Says: "the first candidate in the first epoch, the second in the second; one Warden dies for good",
		Epochs: 2, Candidates: two, Relay: true, Quorum: 2, Blind: all, Crashes: 1, Final: true, Orders: true},
	{Name: "refused", Says: "one candidate, one epoch; an order refused, one of unknown outcome, opinions that are waited for",
		Epochs: 1, Candidates: all[:1], Quorum: 2, Blind: all, Unknown: 1, Refused: 1, Waits: 1, Orders: true},
	{Name: "witness", Says: "the primary serves, is down for two of three, and all three may stand",
		Epochs: 1, Candidates: all, Quorum: 2, Blind: two, Alive: true, Waits: 1, Orders: true},
	{Name: "foreign", Says: "a stranger at the address of a replica",
		Epochs: 1, Candidates: all[:1], Quorum: 2, Blind: all, Foreign: true, Orders: true},
	{Name: "unknown", Says: "one candidate, two epochs; an order of unknown outcome, opinions that are waited for",
		Epochs: 2, Candidates: all[:1], Quorum: 2, Blind: all, Unknown: 1, Waits: 1, Orders: true},
	{Name: "crash", Says: "one candidate, two epochs; a crash",
		Epochs: 2, Candidates: all[:1], Quorum: 2, Blind: all, Crashes: 1, Orders: true},
	{Name: "relay", Says: "the first candidate in the first epoch, the second in the second; an order of unknown outcome",
		Epochs: 2, Candidates: two, Relay: true, Quorum: 2, Blind: all, Unknown: 1, Orders: true},
	{Name: "return", Says: "as heir, and the Warden starts again",
		Epochs: 2, Candidates: two, Relay: true, Quorum: 2, Blind: all, Crashes: 1, Orders: true},
	{Name: "full", Says: "two candidates, two epochs; a crash, an order of unknown outcome",
		Epochs: 2, Candidates: two, Quorum: 2, Blind: all, Crashes: 1, Unknown: 1, Orders: true},
}
