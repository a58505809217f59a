package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var began = time.Now()

// info is the text of INFO: the sections that monitors read, of the size they
// have on a real server.
func (n *node) info(sections []string) string {
	up := n.follow()
	followers := n.followers()
	n.mu.Lock()
	defer n.mu.Unlock()
	all := len(sections) == 0
	wants := func(name string) bool {
		return all || slices.ContainsFunc(sections, func(s string) bool { return strings.EqualFold(s, name) })
	}
	var b strings.Builder
	if wants("server") {
		n.infoServer(&b)
	}
	if all {
		b.WriteString(filler)
	}
	if wants("replication") {
		n.infoReplication(&b, up, followers)
	}
	if wants("keyspace") {
		b.WriteString("# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n")
	}
	return b.String()
}

// filler stands for the sections that nobody reads; a monitor that asks for
// everything gets as much as from a real server.
var filler = "# Clients\r\n" + strings.Repeat("some_name_of_a_figure:1234567890\r\n", 110) + "\r\n"

func (n *node) infoServer(b *strings.Builder) {
	now := time.Now()
	fmt.Fprintf(b, "# Server\r\nredis_version:7.0.15\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\nredis_build_id:0123456789abcdef\r\n"+
		"redis_mode:standalone\r\nos:Linux x86_64\r\narch_bits:64\r\nmonotonic_clock:POSIX clock_gettime\r\nmultiplexing_api:epoll\r\n"+
		"atomicvar_api:c11-builtin\r\ngcc_version:12.2.0\r\nprocess_id:1\r\nprocess_supervised:no\r\nrun_id:%s\r\ntcp_port:%d\r\n"+
		"server_time_usec:%d\r\nuptime_in_seconds:%d\r\nuptime_in_days:0\r\nhz:10\r\nconfigured_hz:10\r\nlru_clock:0\r\n"+
		"executable:/usr/bin/redis-server\r\nconfig_file:/etc/redis/redis.conf\r\nio_threads_active:0\r\n\r\n",
		runID(n.port, n.life), n.port, now.UnixMicro(), int(now.Sub(began).Seconds()))
}

func (n *node) infoReplication(b *strings.Builder, up bool, followers []*node) {
	b.WriteString("# Replication\r\n")
	if n.upstream == 0 {
		fmt.Fprintf(b, "role:master\r\nconnected_slaves:%d\r\n", len(followers))
		for i, f := range followers {
			fmt.Fprintf(b, "slave%d:ip=127.0.0.1,port=%d,state=online,offset=%d,lag=0\r\n", i, f.port, n.position)
		}
	} else {
		link, since := "up", ""
		if !up {
			link, since = "down", "master_link_down_since_seconds:1\r\n"
		}
		fmt.Fprintf(b, "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:%d\r\nmaster_link_status:%s\r\nmaster_last_io_seconds_ago:0\r\n"+
			"master_sync_in_progress:0\r\nslave_read_repl_offset:%d\r\nslave_repl_offset:%[3]d\r\n%[4]sslave_priority:100\r\nslave_read_only:1\r\n"+
			"replica_announced:1\r\nconnected_slaves:0\r\n", n.upstream, link, n.position, since)
	}
	fmt.Fprintf(b, "master_failover_state:no-failover\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"+
		"master_repl_offset:%d\r\nsecond_repl_offset:-1\r\nrepl_backlog_active:1\r\nrepl_backlog_size:1048576\r\n"+
		"repl_backlog_first_byte_offset:1\r\nrepl_backlog_histlen:%[3]d\r\n\r\n", n.lineage, n.before, n.position)
}

// role is the answer to ROLE.
func (n *node) role() string {
	up := n.follow()
	followers := n.followers()
	n.mu.Lock()
	defer n.mu.Unlock()
	var b strings.Builder
	if n.upstream != 0 {
		state := "connected"
		if !up {
			state = "connect"
		}
		fmt.Fprintf(&b, "*5\r\n%s%s:%d\r\n%s:%d\r\n", bulk("slave"), bulk("127.0.0.1"), n.upstream, bulk(state), n.position)
		return b.String()
	}
	fmt.Fprintf(&b, "*3\r\n%s:%d\r\n*%d\r\n", bulk("master"), n.position, len(followers))
	for _, f := range followers {
		fmt.Fprintf(&b, "*3\r\n%s%s%s", bulk("127.0.0.1"), bulk(fmt.Sprint(f.port)), bulk(fmt.Sprint(n.position)))
	}
	return b.String()
}
