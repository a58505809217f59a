package main

import (
	"net"
	"strconv"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// announcedHost is what nodes are told of our address; empty: the local address
// of the connection to each.
func announcedHost(c config.Config) string {
	if ip := net.ParseIP(c.Host); c.AnnounceIP == "" && (ip == nil || !ip.IsUnspecified()) {
		return c.Host
	}
	return c.AnnounceIP
}

// readdress tells others our addresses as the next setup has them: from the
// next hellos and messages on. What we listen on stays.
func (d *daemon) readdress(next setup) {
	have := d.steward.current()
	if have.AnnounceIP == next.AnnounceIP && have.AnnouncePort == next.AnnouncePort {
		return
	}
	d.shell.Readdress(announcedHost(next.Config), next.AnnouncePort)
	host := next.AnnounceHost()
	if host == "" {
		host = warden.NodeID(d.gossip.Addr()).Host()
	}
	err := d.gossip.Readdress(string(warden.MakeNode(host, d.gossipPort)), net.JoinHostPort(host, strconv.Itoa(next.AnnouncePort)))
	if err != nil {
		d.log.Warn("Wardens are told the old address until a restart", "error", err)
	}
}
