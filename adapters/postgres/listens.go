package postgres

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// A primary does not know where its standbys listen. It knows who is connected,
// under which name, from which address, and by which slot.

// receiver is one row of what a primary streams to.
type receiver struct {
	Name    string `json:"name"`
	Slot    string `json:"slot"`
	Addr    string `json:"addr"`
	State   string `json:"state"`
	Flushed int64  `json:"flushed"`
}

// listens is where a standby of the primary at node listens, "" if that cannot
// be told. The first of these that says something wins:
//
//  1. an application_name that is an address. Follow sets it for a standby that
//     is in no sync set, and an operator may;
//  2. the slot, if it is the one that Follow made for a known node: only one
//     standby at a time can use it;
//  3. the name of a sync set's member, if it was made for a known node;
//  4. the address it comes from, if one known node alone has that host;
//  5. the address it comes from, with the primary's own port. That is a guess,
//     and a guess that names the primary itself is none.
func (r receiver) listens(node warden.NodeID, known []warden.NodeID) warden.NodeID {
	if id, err := warden.ParseNode(r.Name); err == nil {
		return id
	}
	if r.Name == "pg_receivewal" || r.Name == "pg_basebackup" || strings.HasPrefix(r.Slot, "pg_basebackup_") {
		return "" // they receive, but nothing listens there
	}
	for _, says := range []func(warden.NodeID) bool{
		func(n warden.NodeID) bool { return r.Slot != "" && r.Slot == slotName(n) },
		func(n warden.NodeID) bool { return namedFor(r.Name, n) },
	} {
		if i := slices.IndexFunc(known, says); i >= 0 {
			return known[i]
		}
	}
	return r.comesFrom(node, known)
}

// comesFrom guesses by the address of the connection.
func (r receiver) comesFrom(node warden.NodeID, known []warden.NodeID) warden.NodeID {
	var same []warden.NodeID
	for _, n := range known {
		if at := makeNode(r.Addr, 1); n != node && at != "" && n.Host() == at.Host() {
			same = append(same, n)
		}
	}
	if len(same) == 1 {
		return same[0]
	}
	port, err := strconv.Atoi(node.Port())
	if err != nil {
		return ""
	}
	if id := makeNode(r.Addr, port); id != node {
		return id
	}
	return ""
}

// namedFor reports whether name is one that warden.MemberName made for node. The
// group is not known here, but stands at the beginning, and the checksum in the
// name proves it. Names that had to be cut are not recognised.
func namedFor(name string, node warden.NodeID) bool {
	head, version, found := cutLast(name, '_')
	if !found {
		return false
	}
	head, _, found = cutLast(head, '_')
	if !found {
		return false
	}
	// The tail of the head is the node's address in plain letters.
	group := head[:max(len(head)-len(node)-1, 0)]
	epoch, step, found := strings.Cut(version, ".")
	if !found || group == "" {
		return false
	}
	e, err := strconv.ParseUint(epoch, 10, 64)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(step, 10, 64)
	if err != nil {
		return false
	}
	return name == warden.MemberName(warden.GroupName(group), node, warden.Version{Epoch: warden.Epoch(e), Step: n})
}

func cutLast(text string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(text, sep)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+1:], true
}

// member is the application_name of a connection string, where it is a name of
// its own and not merely the standby's address.
func (c conninfo) member() string {
	name := c.get("application_name")
	if _, err := warden.ParseNode(name); err == nil {
		return ""
	}
	return name
}
