package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/spineldb/warden/cmd/spineldb/doctor"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/warden"
)

// aNode answers as a server of the Redis protocol that lacks nothing, with the
// given replication section of INFO.
func aNode(t *testing.T, replication string) string {
	t.Helper()
	srv, err := server.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	info := "redis_version:7.0.15\r\naof_enabled:1\r\nmaxmemory:1000\r\nused_memory:1\r\nmaxmemory_policy:noeviction\r\n" + replication + "\r\n"
	for name, answer := range map[string]server.Cmd{
		"INFO": func(c *server.Peer, _ string, _ []string) { c.WriteBulk(info) },
		"CONFIG": func(c *server.Peer, _ string, args []string) {
			c.WriteStrings([]string{args[1], map[string]string{"min-replicas-to-write": "1", "replica-read-only": "yes", "appendonly": "yes"}[args[1]]})
		},
		"ACL": func(c *server.Peer, _ string, args []string) {
			c.WriteBulk(map[string]string{"WHOAMI": "default", "DRYRUN": "OK"}[args[0]])
		},
	} {
		if err := srv.Register(name, answer); err != nil {
			t.Fatal(err)
		}
	}
	return srv.Addr().String()
}

// doctorFile writes a warden.toml of one group with these nodes.
func doctorFile(t *testing.T, nodes ...string) string {
	t.Helper()
	host, port, _ := strings.Cut(nodes[0], ":")
	file := filepath.Join(t.TempDir(), "warden.toml")
	text := "host = \"127.0.0.1\"\n[[masters]]\nname = \"mymaster\"\nip = \"" + host + "\"\nport = " + port + "\nquorum = 2\nwardens = 3\nnodes = [\"" + strings.Join(nodes, "\", \"") + "\"]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Goal: the exit code says how bad it is, and what is printed names the node, the
// reason and the remedy.
func TestDoctor(t *testing.T) {
	replica := "role:slave\r\nmaster_link_status:up\r\nslave_priority:100"
	a, b := aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, replica)
	excluded := aNode(t, strings.Replace(replica, "100", "0", 1))
	runCommand(t, "doctor", "--config", doctorFile(t, a, b), "mymaster").has(t, exit.Done, "mymaster  spineldb, 2 nodes: 2 notes", "min-replicas-to-write", "why", "do ")
	runCommand(t, "doctor", "--all", "--config", doctorFile(t, a, b)).has(t, exit.Done, "  ok       "+a, "exactly one node is the primary")
	runCommand(t, "doctor", "--config", doctorFile(t, a, excluded)).has(t, exit.Refused, "error  ", "replica-priority 0", "CONFIG SET replica-priority 100")
	runCommand(t, "doctor", "--config", doctorFile(t, a, b, nobody(t))).has(t, exit.Refused, "it refuses connections", "start it; or correct bind")
	runCommand(t, "doctor", "--config", doctorFile(t, nobody(t), nobody(t))).has(t, exit.Unreachable, "no node and no Warden answered")
	runCommand(t, "doctor", "--config", doctorFile(t, a, b), "other").has(t, exit.Usage, "there is no group", "other")
	runCommand(t, "doctor", "--config", filepath.Join(t.TempDir(), "none.toml")).has(t, exit.Usage, "none.toml")

	var found checkup
	if err := json.Unmarshal([]byte(runCommand(t, "doctor", "--json", "--config", doctorFile(t, a, excluded)).out), &found); err != nil {
		t.Fatal(err)
	}
	if found.Worst != doctor.Error || len(found.Groups) != 1 || found.Groups[0].Count(doctor.Error) != 1 || found.Groups[0].Reached() != 2 || found.Wardens != nil {
		t.Errorf("%+v", found)
	}
}

// Goal: the running Wardens are asked too, alone or beside the nodes.
func TestDoctorAsksWardens(t *testing.T) {
	t.Setenv("WARDEN_CONFIG", "")
	fakes := startQuorum(t)
	at := fakes[idA].addr
	runCommand(t, "doctor", "--server", at).has(t, exit.Done, "mymaster  as the Wardens see it: agreed, primary 10.0.0.1:6379")
	runCommand(t, "doctor", "--server", at, "other").has(t, exit.Usage, "the Wardens watch no group")
	runCommand(t, "doctor", "--server", nobody(t)).has(t, exit.Unreachable)
	fakes[idB].change(func() { fakes[idB].status.Groups[0].Mute = true })
	runCommand(t, "doctor", "--server", at).has(t, exit.Refused, "warning  Warden bbbbbbbb cannot write its data_dir")
	fakes[idA].change(func() {
		for _, f := range fakes {
			f.status.Groups[0].Agreed, f.status.Groups[0].HeardAgo = false, warden.Minute
		}
	})
	runCommand(t, "doctor", "--server", at).has(t, exit.Refused, "not agreed")

	file := doctorFile(t, aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, "role:slave\r\nmaster_link_status:up"))
	for _, f := range fakes {
		f.change(func() { f.status.Groups[0].Topology.Wardens = f.status.Groups[0].Topology.Wardens[:2] })
	}
	runCommand(t, "doctor", "--config", file, "--server", at).has(t, exit.Refused, "2 Wardens are listed, but wardens is 3")

	file = doctorFile(t, aNode(t, "role:master\r\nconnected_slaves:1"), aNode(t, "role:slave\r\nmaster_link_status:up"))
	runCommand(t, "doctor", "--config", file, "--server", nobody(t)).has(t, exit.Refused, "no Warden could be asked: no Warden answers: ", "connection refused; start one", "mymaster  spineldb, 2 nodes")
}
