// Command chaos does to real Wardens and real servers what happens to machines,
// and judges what their clients saw. scripts/chaos builds and starts it.
//
// A round is a fresh group: three nodes, three Wardens and the clients, each on a
// host of its own (package network). For some seconds it storms: faults that are
// drawn from a seed (plan.go) begin and end, many at a time. Every fault looks
// whether it had an effect; one that had none is counted as not done. Then all is
// healed and the group must find together by itself. Last, the histories of the
// clients are judged (package history).
//
// The clients: some ask the Wardens for the primary and write and read there.
// And on each node's own host one writes to that node every 50 ms, whatever the
// Wardens say, also when nobody else can reach it: the prober.
//
// Nothing is left behind, however the program ends. It runs in a process
// namespace and a mount namespace of its own (cage_linux.go), with which the
// kernel ends all processes and mounts; the network namespaces go with them.
package main
