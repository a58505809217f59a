package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// configure writes the configuration of monitor i.
func (r *rig) configure(i, port int) error {
	_, primary, err := net.SplitHostPort(r.nodes[0].addr)
	if err != nil {
		return err
	}
	text := r.sentinelConfig(port, primary)
	if r.system == ours {
		text = r.wardenConfig(i, port, primary)
	}
	if err := os.WriteFile(r.configFile(i), []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

func (r *rig) configFile(i int) string {
	return filepath.Join(r.dir, "monitor"+strconv.Itoa(i)+".conf")
}

func (r *rig) wardenConfig(i, port int, primary string) string {
	var join []string
	for _, g := range r.gossip {
		join = append(join, strconv.Quote(address(g)))
	}
	join = slices.Delete(join, i, i+1)
	text := fmt.Sprintf(`host = "127.0.0.1"
port = %d
gossip_port = %d
data_dir = "monitor%d.data"
join = [%s]
[http]
listen = %q
[[masters]]
name = %q
ip = "127.0.0.1"
port = %s
quorum = 2
wardens = %d
down_after = %q
failover_timeout = %q
`, port, r.gossip[i], i, strings.Join(join, ", "), address(r.web[i]), groupName, primary, monitorCount, r.b.downAfter, r.b.failoverTimeout)
	if r.crash > 0 {
		text += fmt.Sprintf("crash_after = %q\n", r.crash)
	}
	return text
}

func (r *rig) sentinelConfig(port int, primary string) string {
	return fmt.Sprintf(`port %d
bind 127.0.0.1
dir %s
sentinel monitor %[3]s 127.0.0.1 %[4]s 2
sentinel down-after-milliseconds %[3]s %[5]d
sentinel failover-timeout %[3]s %[6]d
sentinel parallel-syncs %[3]s 1
`, port, r.dir, groupName, primary, r.b.downAfter.Milliseconds(), r.b.failoverTimeout.Milliseconds())
}

func (r *rig) startMonitor(i, port int, env ...string) (*process, error) {
	program, args := r.b.serverBinary, []string{r.configFile(i), "--sentinel"}
	if r.system == ours {
		program, args = r.b.wardenBinary, []string{"--warden", r.configFile(i)}
	}
	c, err := r.b.launch.run(r.dir, "monitor"+strconv.Itoa(i), env, program, args...)
	if err != nil {
		return nil, err
	}
	return &process{c, address(port), port}, nil
}

// monitorsReady: each monitor knows the other two and both replicas in step.
func (r *rig) monitorsReady() error {
	var errs []error
	for _, m := range r.monitors {
		if err := r.monitorReady(m); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
		}
	}
	return errors.Join(errs...)
}

func (r *rig) monitorReady(m *process) error {
	w, err := dial(m.addr, askLimit)
	if err != nil {
		return err
	}
	defer w.close()
	answer, err := w.call(askLimit, "SENTINEL", "MASTER", groupName)
	if err != nil {
		return err
	}
	v := pairs(answer)
	if v["flags"] != "master" || v["num-slaves"] != strconv.Itoa(nodeCount-1) || v["num-other-sentinels"] != strconv.Itoa(monitorCount-1) {
		return fmt.Errorf("flags %s, %s replicas, %s peers", v["flags"], v["num-slaves"], v["num-other-sentinels"])
	}
	if answer, err = w.call(askLimit, "SENTINEL", "REPLICAS", groupName); err != nil {
		return err
	}
	list, _ := answer.([]any)
	for _, item := range list {
		if v := pairs(item); v["flags"] != "slave" || v["master-link-status"] != "ok" {
			return fmt.Errorf("replica %s: flags %s, link %s", v["name"], v["flags"], v["master-link-status"])
		}
	}
	if _, err = w.call(askLimit, "SENTINEL", "CKQUORUM", groupName); err != nil {
		return err
	}
	if r.system != ours {
		return nil
	}
	_, view, err := status(m)
	if err == nil && (view.Provisional || !view.Agreed || len(view.Topology.Wardens) != monitorCount || view.Leader != "") {
		return fmt.Errorf("agreed %v, %d Wardens, leader %q", view.Agreed, len(view.Topology.Wardens), view.Leader)
	}
	return err
}

// status is the id of a Warden of ours, and what it shows of the group.
func status(m *process) (warden.WardenID, warden.GroupView, error) {
	var none warden.GroupView
	w, err := dial(m.addr, askLimit)
	if err != nil {
		return "", none, err
	}
	defer w.close()
	answer, err := w.call(askLimit, "WARDEN", "STATUS", groupName)
	if err != nil {
		return "", none, err
	}
	text, _ := answer.(string)
	var s resp.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return "", none, fmt.Errorf("read status: %w", err)
	}
	if len(s.Groups) != 1 {
		return "", none, fmt.Errorf("read status: %d groups", len(s.Groups))
	}
	return s.Self.ID, s.Groups[0], nil
}
