// Package metrics shows Prometheus what one Warden sees and does.
//
// What is (verdicts, positions, who was heard) is read from the directory when
// somebody scrapes, so that it costs nothing otherwise and is never older than
// the answer. What happens (events, elections, the steps of a failover, looks at
// nodes, syncs of the disk) is counted when it happens.
//
// Every label comes from a bounded set: groups and nodes that are watched now,
// Wardens by the beginning of their id, and words of this program. What is
// watched no more is forgotten at the next scrape. No metric carries a text that
// a node or a client wrote.
//
// The names are listed in docs/metrics.md, alerts on them are in docs/alerts.yml.
package metrics
