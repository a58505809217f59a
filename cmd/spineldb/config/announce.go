package config

import "net"

// AnnounceHost is the address others are told: as configured, as bound, or the
// local address of a connection to the first node.
func (c Config) AnnounceHost() string {
	if c.AnnounceIP != "" {
		return c.AnnounceIP
	}
	if ip := net.ParseIP(c.Host); c.Host != "" && (ip == nil || !ip.IsUnspecified()) {
		return c.Host
	}
	for _, m := range c.Masters {
		// Connecting a datagram socket sends nothing; it only asks the kernel
		// for the route.
		conn, err := net.Dial("udp", string(m.Primary))
		if err != nil {
			continue
		}
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		_ = conn.Close()
		if err == nil {
			return host
		}
	}
	return ""
}
