// Package hooks runs an operator's programs when something has happened, and
// tells webhooks of events. It never holds up a decision: everything waits in
// bounded lanes of its own (discovery/delivery).
//
// Hooks about a change of the primary (on_role_change, on_failover, on_switchover)
// are run by the Warden that led it, at least once. Every Warden writes down whom
// it knows those hooks to have been run for (hooks.json in data_dir), so that a
// leader that dies in between runs them when it is back. If it is not heard some
// seconds after the change, the first of the others runs them. Both have the same
// event id.
//
// Hooks about nodes (on_node_join, on_node_remove, on_node_rejoin) are run by every
// Warden, for what it sees itself; on_start and on_stop are about this Warden.
package hooks
