// Package network is a network of hosts for tests with real processes: each
// host has a network namespace of its own, and the only way from one to
// another is a router inside this process.
//
// Each namespace has one TUN device with the host's address. What the kernel
// sends there is read by the router, which looks at the two addresses, asks the
// faults that are in force on the way between them, and writes the packet to the
// other device: at once, later, twice, before one that was sent earlier, or not
// at all. So partitions, loss, delay, reordering and duplication are one
// mechanism, need no help of the kernel (netem, nft) and are counted where they
// happen.
//
// The namespaces have no name. The kernel removes them and the devices when this
// process and the processes inside have ended, however they end. It needs Linux,
// the right to make network namespaces, and the programs ip and nsenter.
package network
