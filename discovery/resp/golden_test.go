package resp

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

var update = flag.Bool("update", false, "write the golden files anew")

// volatile are the parts of INFO and CLIENT LIST that differ between runs.
var volatile = regexp.MustCompile(`(?m)\b(os|fd|omem|oll|tot-mem|instantaneous_ops_per_sec|arch_bits|process_id|tcp_port|server_time_usec|uptime_in_seconds|uptime_in_days|executable|used_cpu_sys|used_cpu_user|port|addr|laddr|age|idle)[=:][^ \r\n,]*`)

// Goal: every byte of every answer, in both protocols, is as written down in
// testdata. A line "> words" is a request as typed; the lines under it are the
// answer, one per CR LF. "! name" changes the world (see worlds).
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	dir := newFake()
	s := startServer(t, dir, nil)
	p := dial(t, s)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "> "):
			got.WriteString(line)
			p.send(line[2:])
			answer := p.frame()
			// INFO and CLIENT lists are the only answers with several lines in
			// one bulk, and their length depends on the volatile parts.
			if strings.Contains(line, "INFO") || strings.Contains(line, "CLIENT LIST") {
				answer = volatile.ReplaceAllString(answer, "$1~")
				answer = regexp.MustCompile(`^([$=])\d+`).ReplaceAllString(answer, "$1~")
			}
			got.WriteString(strings.ReplaceAll(answer, "\r\n", "\n"))
		case strings.HasPrefix(line, "! "):
			got.WriteString(line)
			change, ok := worlds[strings.TrimSpace(line[2:])]
			if !ok {
				t.Fatalf("no world %q", line)
			}
			dir.Change(change)
		case strings.HasPrefix(line, "# ") && !strings.Contains(infoTitles, strings.TrimSpace(line)):
			got.WriteString(line) // a comment
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(squeeze(got.String())), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := string(text); squeeze(got.String()) != squeeze(want) {
		t.Errorf("%s differs\n%s", file, firstDifference(squeeze(got.String()), squeeze(want)))
	}
}

const infoTitles = "# Server # Clients # Stats # CPU # Sentinel"

// squeeze drops empty lines, which separate sections in INFO (another test
// looks at them) and may separate requests in a file.
func squeeze(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if strings.TrimSpace(line) != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			from := max(0, i-5)
			return "got:\n" + strings.Join(g[from:i+1], "\n") + "\nwant:\n" + strings.Join(w[from:i+1], "\n")
		}
	}
	return "one is longer"
}

// worlds are what golden files may change.
var worlds = map[string]func(*warden.GroupView){
	"primary down, failover running": func(v *warden.GroupView) {
		n := &v.Nodes[0]
		n.Down, n.DownAgo, n.Odown, n.OdownAgo, n.Disconnected = true, 3*warden.Second, true, 2*warden.Second, true
		n.WaitingFor, n.GoodAgo, n.AnsweredAgo = 8*warden.Second, 8*warden.Second, 8*warden.Second
		n.Observation = warden.Observation{Health: warden.HealthSilent}
		v.Failover, v.Forced = "wait_promotion", true
		v.Nodes[1].Promoted = true
		v.Peers[0].SaysDown = true
	},
	"switched, the old primary down": func(v *warden.GroupView) {
		old := v.Nodes[0]
		old.Primary, old.Odown = false, false
		fresh := v.Nodes[1]
		fresh.Primary, fresh.Promoted = true, false
		fresh.Observation.Role, fresh.Observation.Upstream = warden.RolePrimary, ""
		third := v.Nodes[2]
		third.Reconfiguring, third.Observation.LinkUp, third.Observation.LinkDown = "inprog", false, 4*warden.Second
		v.Primary, v.Topology.Primary, v.Topology.Epoch = fresh.Node, fresh.Node, 8
		v.Failover, v.Forced = "reconf_slaves", false
		v.Nodes = []warden.NodeView{fresh, old, third}
	},
	"nodes that must not be read from": func(v *warden.GroupView) {
		v.Failover = ""
		back := &v.Nodes[1] // the old primary is back and not demoted yet
		back.Down, back.Disconnected = false, false
		back.Observation = warden.Observation{Health: warden.HealthGood, Role: warden.RolePrimary, Priority: 100}
		v.Nodes[2].Observation.Unannounced = true
		v.Nodes = append(v.Nodes, warden.NodeView{Node: "10.0.0.9:6379", Foreign: true, ObservedAgo: -1, GoodAgo: -1, AnsweredAgo: -1})
	},
	"a replica never seen": func(v *warden.GroupView) {
		v.Nodes = append(v.Nodes[:1:1], warden.NodeView{Node: "10.0.0.4:6379", ObservedAgo: -1, GoodAgo: -1, AnsweredAgo: -1, Disconnected: true})
	},
	"peers gone": func(v *warden.GroupView) {
		for i := range v.Peers {
			v.Peers[i].Down, v.Peers[i].DownAgo, v.Peers[i].HeardAgo = true, 2*warden.Second, 7*warden.Second
		}
		v.Agreed = false
	},
	"peers without address": func(v *warden.GroupView) {
		v.Peers[0].Client, v.Peers[1].Client = "", "0.0.0.0:26379"
	},
}
