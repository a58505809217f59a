// Package warden holds the nouns of the project: what everything is called,
// and nothing that does anything.
//
// A Warden is one of our processes. Several of them watch groups of database
// nodes: one primary, some replicas, under a group name. Each Warden has an
// opinion of each node; enough opinions make a verdict (up, subjectively down,
// objectively down). When something has to change, one Warden asks the others
// for their vote in a new epoch. The winner leads: it writes the group's
// topology, and only what a majority of the listed Wardens has accepted on
// disk is ever ordered of a node.
//
//	cmd/spineldb                                   flags, configuration, wiring
//	     |        \  builds the edges, hands them over as interfaces
//	warden/shell   adapters/...                    discovery/{gossip,resp}
//	warden/sim              \                        /
//	     |                   \                      /
//	warden/group              \                    /     one group's whole mind
//	 /     |      \            \                  /
//	monitor election warden/failover              |      three minds
//	 \     |      /                               |
//	  warden  <-----------------------------------'      the nouns
//
// Arrows point down. The minds and the nouns are pure: they do not read
// clocks, open sockets or start goroutines (arch_test.go enforces it).
package warden
