package neighbour

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

const (
	// tokens of a hello.
	tokens = 8
	// maxPayload bounds a hello, in bytes: two host names and the rest fit.
	maxPayload = 1 << 10
	// maxHost bounds a host name, as the DNS does.
	maxHost = 253
	// idLength is the length of a Sentinel's id in hexadecimal digits.
	idLength = 40
	// maxEpoch is far above every epoch that was ever counted up to, and leaves
	// room to count on from it. Higher ones are nonsense or worse.
	maxEpoch = 1 << 62
)

var errPayload = errors.New("not a hello of a Sentinel")

// hello is what a Sentinel says of itself and a group:
//
//	ip,port,id,current-epoch,group,primary-ip,primary-port,config-epoch
type hello struct {
	client  warden.NodeID
	id      string
	current uint64
	group   warden.GroupName
	primary warden.NodeID
	config  uint64
}

// parse reads a payload. Whatever does not make sense is an error and is
// ignored: anybody who may use a node may publish there.
func parse(payload string) (h hello, err error) {
	if len(payload) > maxPayload {
		return hello{}, errPayload
	}
	t := strings.Split(payload, ",")
	if len(t) != tokens || !isID(t[2]) {
		return hello{}, errPayload
	}
	group, err := warden.ParseGroupName(t[4])
	if err != nil {
		return hello{}, errPayload
	}
	h = hello{id: t[2], group: group}
	var ok [4]bool
	h.client, ok[0] = address(t[0], t[1])
	h.current, ok[1] = epoch(t[3])
	h.primary, ok[2] = address(t[5], t[6])
	h.config, ok[3] = epoch(t[7])
	if ok != [4]bool{true, true, true, true} {
		return hello{}, errPayload
	}
	return h, nil
}

// String is the payload. IPv6 addresses are written without brackets.
func (h hello) String() string {
	return strings.Join([]string{
		h.client.Host(), h.client.Port(), h.id, strconv.FormatUint(h.current, 10),
		string(h.group), h.primary.Host(), h.primary.Port(), strconv.FormatUint(h.config, 10),
	}, ",")
}

// address reads a host and a port. A host is an IP address or a name.
func address(host, port string) (warden.NodeID, bool) {
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 || port[0] == '+' || len(host) > maxHost {
		return "", false
	}
	if a, err := netip.ParseAddr(host); err == nil && a.Zone() == "" {
		return warden.MakeNode(host, n), true
	}
	for _, label := range strings.Split(host, ".") {
		if label == "" || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	return warden.MakeNode(host, n), true
}

func epoch(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n <= maxEpoch
}

func isID(s string) bool {
	return len(s) == idLength && strings.Trim(s, "0123456789abcdef") == ""
}
