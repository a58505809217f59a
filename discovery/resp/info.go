package resp

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spineldb/warden/warden"
)

// infoSections stand in the order in which INFO prints them.
func infoSections() []struct {
	name  string
	write func(*strings.Builder, *Server)
} {
	return []struct {
		name  string
		write func(*strings.Builder, *Server)
	}{
		{"server", infoServer},
		{"clients", infoClients},
		{"stats", infoStats},
		{"cpu", infoCPU},
		{"sentinel", infoSentinel},
	}
}

func info(c *call) {
	wanted := map[string]bool{}
	for _, word := range c.words[1:] {
		wanted[strings.ToLower(word)] = true
	}
	all := len(wanted) == 0 || wanted["default"] || wanted["all"] || wanted["everything"]
	var b strings.Builder
	for _, section := range infoSections() {
		if !all && !wanted[section.name] {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		section.write(&b, c.server)
	}
	// A bulk string in both protocols, unlike a data node's.
	c.bulk(b.String())
}

func role(c *call) {
	c.array(2)
	c.bulk("sentinel")
	groups := c.server.dir.Groups()
	c.array(len(groups))
	for _, g := range groups {
		c.bulk(string(g))
	}
}

func line(b *strings.Builder, name string, value any) {
	fmt.Fprintf(b, "%s:%v\r\n", name, value)
}

func infoServer(b *strings.Builder, s *Server) {
	self := s.dir.Self()
	host, port := "", "0"
	if a := s.Addr(); a != nil {
		host, port, _ = net.SplitHostPort(a.String())
	}
	up := time.Since(s.started)
	executable, _ := os.Executable() // only shown; empty where the system has no answer
	b.WriteString("# Server\r\n")
	line(b, "redis_version", s.options.RedisVersion)
	line(b, "redis_mode", "sentinel")
	line(b, "server_mode", "sentinel")
	line(b, "warden_version", s.options.Version)
	line(b, "os", runtime.GOOS+"/"+runtime.GOARCH)
	line(b, "arch_bits", strconv.IntSize)
	line(b, "process_id", os.Getpid())
	line(b, "run_id", self.RunID)
	line(b, "tcp_port", port)
	line(b, "server_time_usec", time.Now().UnixMicro())
	line(b, "uptime_in_seconds", int64(up.Seconds()))
	line(b, "uptime_in_days", int64(up.Hours()/24))
	line(b, "hz", 10)
	line(b, "configured_hz", 10)
	line(b, "executable", executable)
	line(b, "config_file", s.options.ConfigFile)
	line(b, "listener0", fmt.Sprintf("name=tcp,bind=%s,port=%s", host, port))
}

func infoClients(b *strings.Builder, s *Server) {
	connected, tracking := 0, 0
	for _, c := range s.everybody() {
		connected++
		if c.snapshot().tracking.on {
			tracking++
		}
	}
	subscribed, _, _ := s.hub.counts()
	b.WriteString("# Clients\r\n")
	line(b, "connected_clients", connected)
	line(b, "cluster_connections", 0)
	line(b, "maxclients", s.options.MaxClients)
	line(b, "blocked_clients", 0)
	line(b, "tracking_clients", tracking)
	line(b, "pubsub_clients", subscribed)
	line(b, "clients_in_timeout_table", 0)
}

func infoStats(b *strings.Builder, s *Server) {
	_, channels, patterns := s.hub.counts()
	b.WriteString("# Stats\r\n")
	line(b, "total_connections_received", s.stats.connections.Load())
	line(b, "total_commands_processed", s.stats.commands.Load())
	line(b, "instantaneous_ops_per_sec", s.rate.perSecond(s.stats.commands.Load(), time.Now()))
	line(b, "rejected_connections", s.stats.rejected.Load())
	line(b, "client_output_buffer_limit_disconnections", s.stats.cut.Load())
	line(b, "pubsub_channels", channels)
	line(b, "pubsub_patterns", patterns)
	line(b, "pubsubshard_channels", 0)
	line(b, "unexpected_error_replies", 0)
	line(b, "total_error_replies", s.stats.errors.Load())
}

// rate remembers counts to tell how fast they grow. Safe for concurrent use.
type rate struct {
	mu   sync.Mutex
	from int64
	at   time.Time
	last int64
}

// perSecond is the mean since the last time it was asked for, which is how
// often somebody looks; what was asked within a second gets the same answer.
func (r *rate) perSecond(count int64, now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := now.Sub(r.at); d >= time.Second {
		if !r.at.IsZero() {
			r.last = int64(float64(count-r.from) / d.Seconds())
		}
		r.from, r.at = count, now
	}
	return r.last
}

func infoCPU(b *strings.Builder, _ *Server) {
	system, user := cpuSeconds()
	b.WriteString("# CPU\r\n")
	line(b, "used_cpu_sys", fmt.Sprintf("%.6f", system))
	line(b, "used_cpu_user", fmt.Sprintf("%.6f", user))
}

func infoSentinel(b *strings.Builder, s *Server) {
	self := s.dir.Self()
	views := s.views()
	tilt, since := 0, int64(-1)
	if self.Tilt {
		tilt, since = 1, int64(self.TiltFor/warden.Second)
	}
	b.WriteString("# Sentinel\r\n")
	line(b, "sentinel_masters", len(views))
	line(b, "sentinel_tilt", tilt)
	line(b, "sentinel_tilt_since_seconds", since)
	running, queued, simulated := scriptCounts(s.options.Steward)
	line(b, "sentinel_running_scripts", running)
	line(b, "sentinel_scripts_queue_length", queued)
	line(b, "sentinel_simulate_failure_flags", simulated)
	for i, v := range views {
		host, port := address(v.Primary)
		line(b, "master"+strconv.Itoa(i), fmt.Sprintf("name=%s,status=%s,address=%s:%s,slaves=%d,sentinels=%d",
			v.Name, primaryStatus(v), host, port, len(replicas(v)), len(v.Peers)+1))
	}
	// The lines above are Sentinel's to the letter; ours stand on their own.
	for i, v := range views {
		agreed := "no"
		if v.Agreed {
			agreed = "yes"
		}
		line(b, "warden"+strconv.Itoa(i), fmt.Sprintf("name=%s,agreed=%s,age=%d", v.Name, agreed, agreementAge(v)))
	}
}

// agreementAge is for how many milliseconds no majority has been heard: 0 while
// one is, -1 when there never was one.
func agreementAge(v warden.GroupView) int64 {
	switch {
	case v.Agreed:
		return 0
	case v.HeardAgo < 0 || v.Topology.IsZero():
		return -1
	}
	return v.HeardAgo.Milliseconds()
}

// scriptCounts are the scripts that run, all that are queued (those included,
// as Sentinel counts), and the simulated failures.
func scriptCounts(s Steward) (running, queued, simulated int) {
	if s == nil {
		return 0, 0, 0
	}
	jobs := s.Scripts()
	for _, job := range jobs {
		if job.Running {
			running++
		}
	}
	return running, len(jobs), s.Simulated()
}

// views are the views of all groups. A group that vanishes in between is left
// out.
func (s *Server) views() []warden.GroupView {
	names := s.dir.Groups()
	views := make([]warden.GroupView, 0, len(names))
	for _, name := range names {
		if v, ok := s.dir.Group(name); ok {
			views = append(views, v)
		}
	}
	return views
}
