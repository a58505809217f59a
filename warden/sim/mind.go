package sim

import "github.com/spineldb/warden/warden/group"

// The simulator meets the mind in these few names and nowhere else.
var (
	newMind     = group.New
	stepMind    = group.Advance
	viewMind    = group.View
	outlineMind = group.Outline
	primaryMind = group.Primary
	watchMind   = group.Watch
	gazeMind    = group.GazeOf
	explainMind = group.Explain
)
