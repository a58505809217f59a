package check

import "github.com/spineldb/warden/warden"

var two = []warden.WardenID{"w1", "w2"}

// Scopes are those that have been measured (docs/verification.md).
var Scopes = []Scope{
	{Name: "tiny", Says: "one candidate, one epoch", Epochs: 1, Candidates: all[:1], Quorum: 2, Blind: all, Orders: true},
	{Name: "votes", Says: "the register alone: two candidates, two epochs, a crash", Epochs: 2, Candidates: two, Quorum: 2, Blind: all, Crashes: 1},
	{Name: "failover", Says: "two candidates, two epochs", Epochs: 2, Candidates: two, Quorum: 2, Blind: all, Orders: true},
	{Name: "crash", Says: "one candidate, a crash", Epochs: 2, Candidates: all[:1], Quorum: 2, Blind: all, Crashes: 1, Orders: true},
	{Name: "witness", Says: "the primary is down for two of three", Epochs: 1, Candidates: all, Quorum: 2, Blind: two, Alive: true, Orders: true},
	{Name: "foreign", Says: "a stranger at the address of a replica", Epochs: 1, Candidates: all[:1], Quorum: 2, Blind: all, Foreign: true, Orders: true},
}
