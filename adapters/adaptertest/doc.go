// Package adaptertest is the conformance suite of warden.Adapter. Every adapter
// passes it against a real server of its kind.
//
// An adapter's own test builds a Harness, which knows how to start such a
// server, and calls Run. The suite then asks of the adapter what the core
// relies on: that roles, positions and lineages are seen as they are; that an
// order ends as done, refused or unknown, and truthfully so; that a newer
// leader's claim shuts out an older one's orders, also those that are still on
// their way; that a held write resumes by itself; that the end of a server is
// heard at once; that silence, refusal, loading and a wrong password are told
// apart; and that nothing is left behind after Close.
//
// Faults are put in by a Proxy between a real client and a real server, one at
// a time.
package adaptertest
