package warden

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// GroupName names one primary and its replicas. Names are case-sensitive, as
// in Redis Sentinel. The alphabet is the one Sentinel's documentation
// recommends, because names travel in comma- and space-separated text.
type GroupName string

// MaxGroupName is the longest group name accepted, in bytes.
const MaxGroupName = 128

// ParseGroupName checks a group name.
func ParseGroupName(s string) (GroupName, error) {
	if s == "" {
		return "", fmt.Errorf("group name is empty: give it one, such as \"mymaster\"")
	}
	if len(s) > MaxGroupName {
		return "", fmt.Errorf("group name is %d bytes long: use at most %d", len(s), MaxGroupName)
	}
	for _, r := range s {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
		if !ok {
			return "", fmt.Errorf("group name %q contains %q: use letters, digits, '.', '_' and '-'", s, r)
		}
	}
	return GroupName(s), nil
}

// NodeID is a node's address in canonical form: "host:port", an IPv6 host in
// brackets. Nodes are known by address, as everywhere in this field; what
// protects against re-used addresses is the lineage (see Observation).
type NodeID string

// MakeNode joins a host and a port into canonical form.
func MakeNode(host string, port int) NodeID {
	host = strings.Trim(host, "[]")
	if a, err := netip.ParseAddr(host); err == nil {
		host = a.Unmap().String()
	} else {
		host = strings.ToLower(host)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return NodeID(host + ":" + strconv.Itoa(port))
}

// ParseNode reads "host:port" or "[v6]:port".
func ParseNode(s string) (NodeID, error) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 {
		return "", fmt.Errorf("address %q has no port: write host:port", s)
	}
	host, port := s[:i], s[i+1:]
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("address %q: port %q is not a number from 1 to 65535", s, port)
	}
	bare := host
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		bare = host[1 : len(host)-1]
	} else if strings.Contains(host, ":") {
		return "", fmt.Errorf("address %q: write an IPv6 address in brackets, [%s]:%s", s, host, port)
	}
	if bare == "" || strings.ContainsAny(bare, "[]") {
		return "", fmt.Errorf("address %q has no host: write host:port, or [address]:port for IPv6", s)
	}
	if strings.ContainsAny(host, " \t\r\n,") {
		return "", fmt.Errorf("address %q: the host contains a blank or a comma", s)
	}
	return MakeNode(host, n), nil
}

// Host is the address without port and brackets.
func (n NodeID) Host() string {
	i := strings.LastIndexByte(string(n), ':')
	if i < 0 {
		return string(n)
	}
	return strings.Trim(string(n)[:i], "[]")
}

// Port is the port in decimal, "0" when there is none.
func (n NodeID) Port() string {
	i := strings.LastIndexByte(string(n), ':')
	if i < 0 {
		return "0"
	}
	return string(n)[i+1:]
}

// WardenID is a Warden's identity: 40 lower-case hexadecimal digits, drawn at
// random together with its store. A Warden with a new store is a new Warden.
type WardenID string

// Short is enough of an id to tell Wardens apart in a sentence.
func (w WardenID) Short() string {
	if len(w) > 8 {
		return string(w[:8])
	}
	return string(w)
}

// Run tells one life of a Warden process from the next. It is counted up in
// the store at every start, so no two runs of one id are the same.
type Run uint64

// Birth is the random id a group gets at its first agreement. A message of
// another Birth never counts.
type Birth string

// Epoch orders attempts to lead a group. It is also the fencing token that
// every order to a node carries.
type Epoch uint64
