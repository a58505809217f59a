package embeddednode

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// version is what an embedded node calls itself. It ends in words, so that
// nobody mistakes it for a real one.
const version = "7.2.0-embedded-demo"

func (n *Node) cmdInfo(_ *client, args []string) []byte {
	var want []string
	for _, a := range args {
		want = append(want, strings.ToLower(a))
	}
	everything := len(want) == 0 || slices.ContainsFunc(want, func(s string) bool {
		return s == "all" || s == "default" || s == "everything"
	})
	var b strings.Builder
	for _, section := range []struct {
		name  string
		lines func() []string
	}{
		{"Server", n.infoServer}, {"Stats", n.infoStats},
		{"Replication", n.infoReplication}, {"Keyspace", n.infoKeyspace},
	} {
		if !everything && !slices.Contains(want, strings.ToLower(section.name)) {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString("# " + section.name + "\r\n")
		for _, line := range section.lines() {
			b.WriteString(line + "\r\n")
		}
	}
	return appendBulk(nil, b.String())
}

func (n *Node) infoServer() []string {
	return []string{
		"redis_version:" + version,
		"redis_mode:standalone",
		"run_id:" + n.runID,
		"tcp_port:" + n.node.Port(),
		fmt.Sprintf("uptime_in_seconds:%d", int(time.Since(n.started).Seconds())),
	}
}

func (n *Node) infoStats() []string {
	return []string{
		fmt.Sprintf("sync_full:%d", n.repl.fullCopies),
		fmt.Sprintf("sync_partial_ok:%d", n.repl.partialCopies),
	}
}

func (n *Node) infoKeyspace() []string {
	if n.engine.size() == 0 {
		return nil
	}
	return []string{fmt.Sprintf("db0:keys=%d,expires=0,avg_ttl=0", n.engine.size())}
}

func (n *Node) infoReplication() []string {
	r := &n.repl
	role, lines := "master", []string(nil)
	if r.upstream != "" {
		role = "slave"
		lines = append(lines,
			"master_host:"+r.upstream.Host(),
			"master_port:"+r.upstream.Port(),
			"master_link_status:"+map[bool]string{true: "up", false: "down"}[r.linkUp],
			fmt.Sprintf("master_sync_in_progress:%d", map[bool]int{true: 1}[r.syncing]),
			fmt.Sprintf("slave_repl_offset:%d", r.offset))
		if !r.linkUp {
			down := -1
			if !r.linkDown.IsZero() {
				down = int(time.Since(r.linkDown).Seconds())
			}
			lines = append(lines, fmt.Sprintf("master_link_down_since_seconds:%d", down))
		}
		lines = append(lines, "slave_priority:100", "slave_read_only:1", "replica_announced:1")
	}
	replicas := n.replicas()
	lines = append(lines, fmt.Sprintf("connected_slaves:%d", len(replicas)))
	for i, c := range replicas {
		lines = append(lines, fmt.Sprintf("slave%d:ip=%s,port=%s,state=online,offset=%d,lag=%d",
			i, c.replicaNode.Host(), c.replicaNode.Port(), c.acked, int(time.Since(c.ackedAt).Seconds())))
	}
	second := r.secondID
	if second == "" {
		second = strings.Repeat("0", 40)
	}
	return append(append([]string{"role:" + role}, lines...),
		"master_failover_state:no-failover",
		"master_replid:"+r.id,
		"master_replid2:"+second,
		fmt.Sprintf("master_repl_offset:%d", r.offset),
		fmt.Sprintf("second_repl_offset:%d", r.secondOffset),
		fmt.Sprintf("repl_backlog_first_byte_offset:%d", r.offset-int64(len(r.backlog))+1),
		fmt.Sprintf("repl_backlog_histlen:%d", len(r.backlog)))
}

func (n *Node) cmdRole(*client, []string) []byte {
	r := &n.repl
	if r.upstream != "" {
		state := "connect"
		switch {
		case r.linkUp:
			state = "connected"
		case r.syncing:
			state = "sync"
		}
		reply := appendLen(nil, 5)
		reply = appendBulk(appendBulk(reply, "slave"), r.upstream.Host())
		reply = append(reply, ":"+r.upstream.Port()+"\r\n"...)
		return appendInt(appendBulk(reply, state), r.offset)
	}
	replicas := n.replicas()
	reply := appendInt(appendBulk(appendLen(nil, 3), "master"), r.offset)
	reply = appendLen(reply, len(replicas))
	for _, c := range replicas {
		reply = appendCommand(reply, c.replicaNode.Host(), c.replicaNode.Port(), fmt.Sprint(c.acked))
	}
	return reply
}
