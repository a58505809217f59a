package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// Goal: broken requests end with the words Redis uses.
func TestReaderRefuses(t *testing.T) {
	for _, c := range []struct{ name, input, want string }{
		{"count is no number", "*x\r\n", "invalid multibulk length"},
		{"count with a plus", "*+1\r\n$4\r\nPING\r\n", "invalid multibulk length"},
		{"count with a zero before", "*01\r\n", "invalid multibulk length"},
		{"count empty", "*\r\n", "invalid multibulk length"},
		{"count without CR", "*1\n", "invalid multibulk length"},
		{"count too large", "*1025\r\n", "invalid multibulk length"},
		{"count overflows", "*99999999999999999999999\r\n", "invalid multibulk length"},
		{"count line endless", "*" + strings.Repeat("1", 70_000), "too big mbulk count string"},
		{"no bulk", "*1\r\n:4\r\n", "expected '$', got ':'"},
		{"no bulk, control byte", "*1\r\n\x00", "expected '$', got '?'"},
		{"length is no number", "*1\r\n$x\r\n", "invalid bulk length"},
		{"length negative", "*1\r\n$-1\r\n", "invalid bulk length"},
		{"length too large", "*1\r\n$1048577\r\n", "invalid bulk length"},
		{"length line endless", "*1\r\n$" + strings.Repeat("1", 70_000), "too big bulk count string"},
		{"bulk longer than told", "*1\r\n$3\r\nPING\r\n", "invalid bulk length"},
		{"bulk ends with LF", "*1\r\n$4\r\nPING\n\n", "invalid bulk length"},
		{"frame too large in sum", "*3\r\n$600000\r\n" + strings.Repeat("a", 600_000) + "\r\n$600000\r\n", "invalid bulk length"},
		{"line too long", strings.Repeat("a", 70_000), "too big inline request"},
		{"quote open", "PING \"a\r\n", "unbalanced quotes in request"},
		{"quote goes on", "PING \"a\"b\r\n", "unbalanced quotes in request"},
		{"single quote open", "PING 'a\r\n", "unbalanced quotes in request"},
		{"line with too many words", strings.Repeat("a ", 1025) + "\r\n", "invalid multibulk length"},
	} {
		t.Run(c.name, func(t *testing.T) {
			words, err := newRequestReader(strings.NewReader(c.input)).read(true)
			var bad protocolError
			if !errors.As(err, &bad) || err.Error() != "Protocol error: "+c.want {
				t.Errorf("got %q, %v, want %q", words, err, c.want)
			}
		})
	}
}

// Goal: what is right is read whole, however it is cut into packets.
func TestReaderReads(t *testing.T) {
	for _, c := range []struct {
		name, input string
		want        [][]string
	}{
		{"multibulk", "*2\r\n$4\r\nPING\r\n$2\r\n\r\n\r\n", [][]string{{"PING", "\r\n"}}},
		{"empty word", "*2\r\n$4\r\nPING\r\n$0\r\n\r\n", [][]string{{"PING", ""}}},
		{"nothing at all", "*0\r\n*-1\r\n\r\nPING\r\n", [][]string{nil, nil, nil, {"PING"}}},
		{"inline", "  sentinel\tmasters \r\nPING\n", [][]string{{"sentinel", "masters"}, {"PING"}}},
		{"quotes", `a "b c" 'd e' "" '' "\x41\n\"\q" 'it\'s\n'` + "\r\n", [][]string{{"a", "b c", "d e", "", "", "A\n\"q", `it's\n`}}},
		{"half a hex escape", `"\x4"` + "\r\n", [][]string{{"x4"}}},
		{"two in one", request("PING") + "PING x\r\n" + request("PING"), [][]string{{"PING"}, {"PING", "x"}, {"PING"}}},
		{"most words", request(slices.Repeat([]string{"a"}, 1024)...), [][]string{slices.Repeat([]string{"a"}, 1024)}},
		{"the same again, shorter, longer", request("A", "b", "c") + request("A", "b", "c") + request("A", "x") + request("A", "x", "c", "d"),
			[][]string{{"A", "b", "c"}, {"A", "b", "c"}, {"A", "x"}, {"A", "x", "c", "d"}}},
		{"large word", request(strings.Repeat("b", 1_000_000)), [][]string{{strings.Repeat("b", 1_000_000)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, source := range []io.Reader{strings.NewReader(c.input), iotest.OneByteReader(strings.NewReader(c.input))} {
				r := newRequestReader(source)
				for i, want := range c.want {
					words, err := r.read(true)
					if err != nil || !slices.Equal(words, want) {
						t.Fatalf("request %d: got %.200q, %v, want %.200q", i, words, err, want)
					}
				}
				if words, err := r.read(true); err != io.EOF || r.mid {
					t.Errorf("at the end: got %q, %v", words, err)
				}
			}
		})
	}
}

// Goal: a client that asks what it asked before costs no memory, and a large
// request is not kept.
func TestReaderKeepsLittle(t *testing.T) {
	same := request("SENTINEL", "get-master-addr-by-name", "mymaster")
	const n = 1000
	r := newRequestReader(strings.NewReader(strings.Repeat(same, n+2)))
	if allocated := testing.AllocsPerRun(n, func() {
		if words, err := r.read(true); err != nil || len(words) != 3 {
			t.Fatalf("got %q, %v", words, err)
		}
	}); allocated > 0 {
		t.Errorf("%v allocations for each request", allocated)
	}
	r = newRequestReader(strings.NewReader(request("PING", strings.Repeat("a", 1<<19))))
	if _, err := r.read(true); err != nil {
		t.Fatal(err)
	}
	if cap(r.scratch) > keepScratch || r.words != nil {
		t.Errorf("%d bytes and %d words are kept", cap(r.scratch), len(r.words))
	}
}

// Goal: before AUTH a frame of 64 KiB is the most, after it 1 MiB.
func TestReaderBoundsStrangers(t *testing.T) {
	large := request("AUTH", strings.Repeat("a", 64<<10))
	if _, err := newRequestReader(strings.NewReader(large)).read(false); !errors.Is(err, errBulkNoAuth) {
		t.Errorf("got %v, want %v", err, errBulkNoAuth)
	}
	if words, err := newRequestReader(strings.NewReader(large)).read(true); err != nil || len(words) != 2 {
		t.Errorf("with AUTH: %v", err)
	}
	small := request("AUTH", strings.Repeat("a", 63<<10))
	if words, err := newRequestReader(strings.NewReader(small)).read(false); err != nil || len(words) != 2 {
		t.Errorf("small enough: %v", err)
	}
}

// Goal: a large announced length reserves nothing that has not arrived.
func TestReaderReservesNothingAhead(t *testing.T) {
	for _, input := range []string{"*1024\r\n$1000000\r\nabc", "*1024\r\n", "*1\r\n$1000000\r\n" + strings.Repeat("a", 5000)} {
		const rounds = 200
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range rounds {
			if _, err := newRequestReader(strings.NewReader(input)).read(true); err == nil {
				t.Fatal("half a request was read")
			}
		}
		runtime.ReadMemStats(&after)
		// A reader itself takes 4 KiB; the rest is at most thrice what came.
		if each := (after.TotalAlloc - before.TotalAlloc) / rounds; each > 32<<10 {
			t.Errorf("%.30q: %d bytes were allocated", input, each)
		}
	}
}

// Goal: no input makes the reader panic or exceed its bounds, and what it read
// is read again from its own encoding.
func FuzzReader(f *testing.F) {
	seeds, err := filepath.Glob("testdata/seeds/*")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, name := range seeds {
		seed, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, input []byte, authenticated bool) {
		r := newRequestReader(bytes.NewReader(input))
		for {
			words, err := r.read(authenticated)
			if err != nil {
				var bad protocolError
				if !errors.As(err, &bad) && err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatalf("strange error %v", err)
				}
				return
			}
			size := 0
			for _, w := range words {
				size += len(w)
			}
			if len(words) > maxArgs || size > len(input) || !authenticated && size > maxFrameNoAuth {
				t.Fatalf("%d words of %d bytes from %d bytes", len(words), size, len(input))
			}
			if len(words) == 0 {
				continue
			}
			again, err := newRequestReader(strings.NewReader(request(words...))).read(true)
			if err != nil || !slices.Equal(again, words) {
				t.Fatalf("got %q, %v, want %q", again, err, words)
			}
		}
	})
}

// Goal: no request makes the server panic or answer something that is no RESP.
func FuzzDispatch(f *testing.F) {
	for _, line := range []string{"PING", "HELLO 3 SETNAME x", "CLIENT LIST", "SENTINEL MASTERS", "WARDEN EVENTS SINCE 1 2", "SUBSCRIBE a b",
		"COMMAND INFO client|id", "WARDEN FAILOVER mymaster TO 1.2.3.4:5 NOWAIT", "sentinel|master x", "INFO a b", "UNSUBSCRIBE", "AUTH a b"} {
		f.Add(line)
	}
	s, err := New(Options{Directory: newFake()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil || len(words) == 0 || len(words) > maxArgs {
			return
		}
		c := s.newClient(nowhere{}, 1)
		defer s.hub.remove(c)
		c.out.claimed = true // nobody sends the answers
		for _, proto := range []int{2, 3} {
			c.w.proto = proto
			s.dispatch(c, words)
			answer := append(slices.Clone(c.out.pending), c.w.buf...)
			if bytes.Contains(answer, []byte("internal error")) && !strings.Contains(line, "internal error") {
				t.Fatalf("%q panicked: %q", words, answer)
			}
			br := bufio.NewReader(bytes.NewReader(answer))
			for {
				raw, err := readFrame(br)
				if err == io.EOF && raw == "" {
					break
				}
				if err != nil {
					t.Fatalf("%q: answer %q: %v", words, answer, err)
				}
			}
			c.out.pending, c.w.buf = nil, nil
		}
	})
}

// Goal: words from a client cannot break an error line apart.
func TestErrorsStayInOneLine(t *testing.T) {
	w := writer{proto: 2}
	w.fail("ERR a\r\n+OK\r\n")
	if got := string(w.buf); got != "-ERR a  +OK  \r\n" {
		t.Errorf("got %q", got)
	}
	if got := unknownCommand([]string{"x", strings.Repeat("y", 500), "z"}); len(got) > 300 || strings.Contains(got, "z") {
		t.Errorf("got %q", got)
	}
	if got := fmt.Sprint(protocolError("x")); got != "Protocol error: x" {
		t.Errorf("got %q", got)
	}
}
