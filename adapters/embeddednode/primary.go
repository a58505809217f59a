package embeddednode

import (
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// backlogSize is how much of the stream is kept for partial copies, in bytes.
const backlogSize = 1 << 20

// replication is the node's place in the replication of its group. All of it
// is guarded by Node.mu.
type replication struct {
	// id names the history of the data, secondID the one it goes back to, up
	// to secondOffset.
	id           string
	secondID     string
	secondOffset int64
	// offset counts the bytes of the stream; backlog is its end.
	offset  int64
	backlog []byte

	// upstream is the primary this node follows; empty on a primary.
	upstream warden.NodeID
	stop     func() // ends following
	linkUp   bool
	syncing  bool
	linkDown time.Time // since when the link is down; zero: it never stood

	fullCopies, partialCopies int
}

// feed puts a command into the stream. n.mu must be held.
func (n *Node) feed(encoded []byte) {
	r := &n.repl
	r.offset += int64(len(encoded))
	r.backlog = append(r.backlog, encoded...)
	if len(r.backlog) > 2*backlogSize {
		r.backlog = append([]byte(nil), r.backlog[len(r.backlog)-backlogSize:]...)
	}
	n.unsaved = true
	for _, c := range n.clients {
		if c.replica {
			c.out.put(encoded)
		}
	}
}

// replicas are the connections of replicas, by age.
func (n *Node) replicas() []*client {
	var all []*client
	for _, c := range n.sortedClients() {
		if c.replica {
			all = append(all, c)
		}
	}
	return all
}

// dropReplicas ends the connections of all replicas, so that they come back
// and learn of the new history.
func (n *Node) dropReplicas() {
	for _, c := range n.replicas() {
		n.drop(c)
	}
}

// promote makes this node a primary: its data begins a new history that goes
// back to the old one. n.mu must be held.
func (n *Node) promote() {
	r := &n.repl
	if r.upstream == "" {
		return
	}
	n.stopFollowing()
	r.upstream = ""
	r.secondID, r.secondOffset = r.id, r.offset+1
	r.id = newID()
	n.dropReplicas()
	n.unsaved = true
}

// follow makes this node a replica of upstream. It keeps its own history,
// with which it asks for a partial copy. n.mu must be held.
func (n *Node) follow(upstream warden.NodeID) {
	n.stopFollowing()
	n.repl.upstream = upstream
	n.dropReplicas()
	n.unsaved = true
	n.startFollowing()
}

func (n *Node) cmdReplconf(c *client, args []string) []byte {
	if len(args) == 2 {
		switch number, err := strconv.ParseInt(args[1], 10, 64); {
		case err != nil:
		case strings.EqualFold(args[0], "listening-port") && number > 0 && number < 65536:
			c.announced = int(number)
		case strings.EqualFold(args[0], "ack"):
			c.acked, c.ackedAt = number, time.Now()
			return nil // never answered
		}
	}
	return ok()
}

// cmdPsync turns a connection into a replica's. The reply is +CONTINUE with
// the new history's id and the missing part of the stream, or +FULLRESYNC with
// the whole data; after it follows the stream.
func (n *Node) cmdPsync(c *client, args []string) []byte {
	r := &n.repl
	if r.upstream != "" && !r.linkUp {
		return failure("NOMASTERLINK Can't SYNC while not connected with my master")
	}
	host, _, ok := strings.Cut(c.addr(), "]")
	if !ok {
		host, _, _ = strings.Cut(c.addr(), ":")
	}
	c.replica, c.replicaNode = true, warden.MakeNode(strings.Trim(host, "["), c.announced)
	c.ackedAt = time.Now()
	if missing, ok := n.missing(args[0], args[1]); ok {
		r.partialCopies++
		c.acked = r.offset - int64(len(missing))
		return append(appendSimple(nil, "CONTINUE "+r.id), missing...)
	}
	r.fullCopies++
	reply := appendSimple(nil, "FULLRESYNC "+r.id+" "+strconv.FormatInt(r.offset, 10))
	snapshot := n.engine.snapshot()
	reply = append(reply, '$')
	reply = strconv.AppendInt(reply, int64(len(snapshot)), 10)
	reply = append(reply, "\r\n"...)
	return append(reply, snapshot...)
}

// missing is what a replica lacks that has everything before the byte next of
// the history id; not ok when that cannot be told or is no longer kept.
func (n *Node) missing(id, next string) (part []byte, ok bool) {
	r := &n.repl
	from, err := strconv.ParseInt(next, 10, 64)
	first := r.offset - int64(len(r.backlog)) + 1
	same := id == r.id || id == r.secondID && from <= r.secondOffset
	if err != nil || !same || from < first || from > r.offset+1 {
		return nil, false
	}
	return r.backlog[from-first:], true
}
