package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// biggestWarden is how much memory a Warden under the race detector, which
// multiplies it, may use after it was sent every kind of nonsense.
const biggestWarden = 600 << 20

// Goal: random bytes, frames that claim to be huge, and lines without an end,
// on the client port and on the gossip port of a live Warden, disturb nothing:
// it answers, stays agreed and small, and fails over afterwards.
func TestHostileBytes(t *testing.T) {
	t.Parallel()
	l := startLab(t)
	w, primary := l.wardens[0], l.nodes[0]
	epoch := w.mustView().Topology.Epoch
	gossip := net.JoinHostPort(l.host, fmt.Sprint(w.gossip))
	for _, frame := range nonsense() {
		pour(t, "tcp", w.addr, frame)
		pour(t, "tcp", gossip, frame)
		pour(t, "udp", gossip, frame[:min(len(frame), 60000)])
		if err := w.client.Ping(l.ctx(5 * time.Second)).Err(); err != nil {
			t.Fatalf("after %.20q the Warden does not answer: %v", frame, err)
		}
	}
	if !w.process.alive() {
		t.Fatal("the Warden has ended")
	}
	l.awaitAgreed(primary)
	if now := w.mustView().Topology; now.Primary != primary.addr || now.Epoch > epoch+1 {
		t.Errorf("the topology is %+v, the epoch was %d", now, epoch)
	}
	if size := residentSize(t, w.process); size > biggestWarden {
		t.Errorf("the Warden uses %d MB, want at most %d MB", size>>20, biggestWarden>>20)
	}
	primary.process.kill()
	l.awaitPrimaryOtherThan(primary, l.wardens...)
}

// nonsense is what a Warden must bear. It is the same in every run.
func nonsense() [][]byte {
	random := rand.NewChaCha8([32]byte{7})
	out := [][]byte{
		[]byte("*1000000000\r\n$3\r\nGET\r\n"),
		[]byte("*2\r\n$2147483647\r\n"),
		[]byte("*3\r\n$-5\r\n\r\n"),
		[]byte("$9223372036854775808\r\n"),
		[]byte("*1\r\n*1\r\n*1\r\n*1\r\n$4\r\nPING\r\n"),
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		bytes.Repeat([]byte("a"), 1<<20),                     // a line without an end
		bytes.Repeat([]byte("*1\r\n$4\r\nPING\r\n"), 20_000), // and answers nobody reads
		append([]byte("*2\r\n$8\r\nSENTINEL\r\n$1048576\r\n"), bytes.Repeat([]byte{0}, 1<<20)...),
		{},
	}
	// Every first byte a gossip packet may have, with a length that lies.
	for kind := range 256 {
		frame := binary.BigEndian.AppendUint32([]byte{byte(kind)}, 0xfffffff0)
		tail := make([]byte, 64)
		_, _ = random.Read(tail) // never fails
		out = append(out, append(frame, tail...))
	}
	for _, size := range []int{1, 100, 1400, 60_000, 300_000} {
		frame := make([]byte, size)
		_, _ = random.Read(frame) // never fails
		out = append(out, frame)
	}
	return out
}

// pour sends bytes and goes away without reading. The other side may close
// the connection at any time, so that errors after the dial mean nothing.
func pour(t *testing.T, network, addr string, data []byte) {
	t.Helper()
	conn, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		t.Fatalf("dial %s %s: %v", network, addr, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(data)
}

// residentSize is the memory of a process in bytes.
func residentSize(t *testing.T, p *process) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	t.Fatalf("no VmRSS in the status of %s", p.name)
	return 0
}
