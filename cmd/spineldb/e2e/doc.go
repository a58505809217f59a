// Package e2e proves what Warden promises with real processes: the spineldb
// binary, built with the race detector, redis-server and PostgreSQL. It has tests
// only.
//
// Every test has a lab of its own: a directory, ports, servers, Wardens. All of
// them are children of the test and die with it, even if it is killed. Nothing
// waits by sleeping; a test polls until what it wants is so, with a limit, and
// prints the Wardens' own explanation and the ends of all logs when it fails.
//
// Servers of PostgreSQL are copies of one cluster (cmd/spineldb/postgreslab), and
// Wardens log in to them with the rights that docs/postgresql.md gives.
//
// The tests need redis-server (Redis 7), PostgreSQL 15, root with iproute2 for
// those that cut a network, and for real clients redis-cli, python3-redis and Node.js with
// the packages of testdata/clients/node, and HAProxy; scripts/test installs them. What is
// missing makes a test fail, because a proof that was left out must not look
// like one.
package e2e
