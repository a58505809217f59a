package resp

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// dialogue is a connection's requests, apart by " ;; ", each as typed. compare
// says how much of the answers must be alike:
//
//	all    every byte
//	keys   the shape, and every second word of the innermost maps
//	shape  kinds and lengths of aggregates
//	kind   the kind of each answer, and of its first element
type dialogue struct{ compare, requests string }

// Goal: every command answers as a real Redis Sentinel does, in both
// protocols, but for the differences that docs/protocol.md gives reasons for.
func TestLikeRedisSentinel(t *testing.T) {
	start := time.Now()
	real := startSentinels(t)
	docs, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, d := range dialogues {
		known[d.requests] = true
	}
	for requests, why := range wantedDifferences {
		if !known[requests] {
			t.Errorf("a difference in %q, which is never asked", requests)
		}
		if !strings.Contains(string(docs), why) {
			t.Errorf("docs/protocol.md does not tell why %q differs: %s", requests, why)
		}
	}
	t.Logf("the Sentinels are ready after %v", time.Since(start))
	for _, proto := range []int{2, 3} {
		ours := startLike(t, real)
		for _, d := range dialogues {
			want, got := converse(t, real.addr, proto, d.requests), converse(t, ours, proto, d.requests)
			same := alike(d.compare, proto, want, got)
			switch why := wantedDifferences[d.requests]; {
			case same && why != "":
				t.Errorf("RESP%d: %s: no longer differs: %s", proto, d.requests, why)
			case !same && why == "":
				t.Errorf("RESP%d: %s\nSentinel %s\n    ours %s", proto, d.requests, quoted(want), quoted(got))
			}
		}
	}
}

func quoted(frames []string) string {
	var b strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&b, "%q ", clip(f, 700))
	}
	return b.String()
}

// converse sends requests on one connection and returns the answers, up to the
// end of the connection.
func converse(t *testing.T, addr string, proto int, requests string) []string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(conn)
	if proto == 3 {
		if _, err := io.WriteString(conn, request("HELLO", "3")); err != nil {
			t.Fatal(err)
		}
		if _, err := readFrame(br); err != nil {
			t.Fatal(err)
		}
	}
	const end = "end-of-dialogue"
	var all strings.Builder
	for _, typed := range strings.Split(requests, " ;; ") {
		words, err := splitWords(typed)
		if err != nil {
			t.Fatalf("%q: %v", typed, err)
		}
		all.WriteString(request(words...))
	}
	all.WriteString(request("PING", end))
	if _, err := io.WriteString(conn, all.String()); err != nil {
		t.Fatal(err)
	}
	var frames []string
	for {
		frame, err := readFrame(br)
		switch {
		case err != nil && frame == "":
			return append(frames, "the end")
		case err != nil:
			t.Fatalf("%s: %v after %q", requests, err, frame)
		case strings.HasSuffix(frame, "\r\n"+end+"\r\n"):
			return frames
		}
		frames = append(frames, frame)
	}
}

// alike compares answers as much as a dialogue wants.
func alike(compare string, proto int, want, got []string) bool {
	return slices.EqualFunc(want, got, func(a, b string) bool {
		switch compare {
		case "all":
			return a == b
		case "kind":
			return strings.Join(skeleton(a, "shape", 2), "")[:1] == strings.Join(skeleton(b, "shape", 2), "")[:1]
		}
		return slices.Equal(skeleton(a, compare, proto), skeleton(b, compare, proto))
	})
}

// skeleton lists the elements of a frame without the text in them. With "keys"
// the words of an array of 20 and more in RESP2 and of every map in RESP3 are
// taken for pairs, whose names stay.
func skeleton(frame, compare string, proto int) []string {
	br := bufio.NewReader(strings.NewReader(frame))
	var walk func(asKey bool) []string
	walk = func(asKey bool) []string {
		head, err := br.ReadString('\n')
		if err != nil {
			return []string{"broken"}
		}
		head = strings.TrimSuffix(head, "\r\n")
		n, _ := strconv.Atoi(head[1:])
		switch head[0] {
		case '-':
			return []string{head} // errors are always compared
		case '+', ':', '_':
			return []string{head[:1]}
		case '$', '=':
			if n < 0 {
				return []string{"nil"}
			}
			text := make([]byte, n+2)
			if _, err := io.ReadFull(br, text); err != nil {
				return []string{"broken"}
			}
			if asKey {
				return []string{head[:1] + string(text[:n])}
			}
			return []string{head[:1]}
		}
		isMap := head[0] == '%' || compare == "keys" && proto == 2 && n >= 20
		if head[0] == '%' {
			n *= 2
		}
		list := []string{head}
		for i := range n {
			list = append(list, walk(compare == "keys" && isMap && i%2 == 0)...)
		}
		return list
	}
	return walk(false)
}

// sentinels are real ones with a primary and its replica.
type sentinels struct {
	addr             string
	primary, replica warden.NodeID
	peer             string
}

// startSentinels starts a primary, a replica and two Sentinels that know all
// of each other.
func startSentinels(t *testing.T) sentinels {
	t.Helper()
	dir := t.TempDir()
	var ports [4]string
	for i := range ports {
		ports[i] = freePort(t)
	}
	startRedis(t, dir, "--port", ports[0], "--save", "")
	startRedis(t, dir, "--port", ports[1], "--save", "", "--replicaof", "127.0.0.1 "+ports[0])
	host := func(port string) string { return "127.0.0.1:" + port }
	eventually(t, "the replica to follow", func() bool {
		return strings.Contains(askOnce(host(ports[1]), "INFO", "replication"), "master_link_status:up")
	})
	for i, port := range ports[2:] {
		file := filepath.Join(dir, fmt.Sprintf("sentinel%d.conf", i))
		text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 %s 2\nsentinel down-after-milliseconds mymaster 60000\n", port, ports[0])
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		startRedis(t, dir, file, "--sentinel")
	}
	eventually(t, "the Sentinels to know everybody", func() bool {
		master := askOnce(host(ports[2]), "SENTINEL", "MASTER", "mymaster")
		cache := askOnce(host(ports[2]), "SENTINEL", "INFO-CACHE", "mymaster")
		return strings.Contains(master, "num-slaves\r\n$1\r\n1\r\n") && strings.Contains(master, "num-other-sentinels\r\n$1\r\n1\r\n") &&
			strings.Contains(master, "flags\r\n$6\r\nmaster\r\n") && strings.Contains(askOnce(host(ports[2]), "SENTINEL", "REPLICAS", "mymaster"), "flags\r\n$5\r\nslave\r\n") &&
			strings.Contains(askOnce(host(ports[2]), "SENTINEL", "SENTINELS", "mymaster"), "flags\r\n$8\r\nsentinel\r\n") && !strings.Contains(cache, "$-1")
	})
	return sentinels{addr: host(ports[2]), primary: warden.NodeID(host(ports[0])), replica: warden.NodeID(host(ports[1])), peer: host(ports[3])}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// startRedis runs redis-server until the end of the test.
func startRedis(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("redis-server", append(args, "--dir", dir, "--bind", "127.0.0.1", "--logfile", filepath.Join(dir, "log"))...)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start redis-server: %v (the tests need Redis 7)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// askOnce asks a server one thing; "" when it does not answer.
func askOnce(addr string, words ...string) string {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second)) // a failure shows in the read
	if _, err := io.WriteString(conn, request(words...)); err != nil {
		return ""
	}
	frame, _ := readFrame(bufio.NewReader(conn))
	return frame
}

// startLike serves what the real Sentinels watch.
func startLike(t *testing.T, real sentinels) string {
	t.Helper()
	dir := newFake()
	dir.Views = dir.Views[:1]
	dir.Answer = func(context.Context, warden.Command) warden.Answer {
		return warden.Answer{Verdict: warden.VerdictRefused, Code: "no-good-replica"}
	}
	dir.Change(func(v *warden.GroupView) {
		v.Primary, v.Topology.Primary = real.primary, real.primary
		v.Topology.Wardens = []warden.WardenID{idSelf, idB}
		v.Nodes, v.Peers = v.Nodes[:2], v.Peers[:1]
		v.Nodes[0].Node, v.Nodes[1].Node, v.Peers[0].Client = real.primary, real.replica, real.peer
		v.Nodes[0].Observation.Text, v.Nodes[1].Observation.Text = "role:master", "role:slave"
	})
	s := startServer(t, dir, func(o *Options) { o.Steward = newFakeSteward(dir) })
	return s.Addr().String()
}
