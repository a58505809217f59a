package sentinelconf

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// seeds are the files in testdata, whole configurations as they are met.
func seeds(f *testing.F) []string {
	f.Helper()
	paths, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(paths) < 4 {
		f.Fatalf("%d files in testdata: %v", len(paths), err)
	}
	out := []string{debian, operated}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		out = append(out, string(text))
	}
	return out
}

// No text whatsoever makes the reading panic; what it accepts is whole, is
// written as the same state, and is a good configuration or refused with words.
func FuzzParseSentinelConf(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	for _, tt := range refused {
		f.Add(tt.text)
	}
	f.Add("include /inc/m.conf\nsentinel monitor k ::1 1 1\n" + signature + "\nsentinel monitor m 10.0.0.2 1 1\n")
	f.Add("\r\nport 1\r\n'sentinel' \"monitor\" m 1.1.1.1 1 1\r\nuser a >'x y'\n")
	f.Fuzz(func(t *testing.T, text string) {
		world := files(inc)
		file, err := Parse("/etc/s.conf", []byte(text), nil, world)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatal("an error without words")
			}
			return
		}
		for _, g := range file.State.Groups {
			if _, err := warden.ParseNode(string(Address{g.Host, g.Port}.node())); err != nil || g.Quorum < 1 || g.DownAfter < 1 {
				t.Fatalf("accepted %+v (%v)", g, err)
			}
		}
		if c, err := file.Config(); err == nil && len(c.Masters) != len(file.State.Groups) {
			t.Fatalf("%d groups became %d", len(file.State.Groups), len(c.Masters))
		}
		out, err := file.Render(file.State)
		if err != nil {
			// Only what no line can hold may stop it, as in "\x0a".
			if !strings.Contains(err.Error(), "control character") {
				t.Fatal(err)
			}
			return
		}
		again, err := Parse("/etc/s.conf", out, nil, world)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if what := file.State.readable().normal().differs(again.State.normal()); what != "" {
			t.Fatalf("%s differs:\n%s", what, out)
		}
		if twice, err := again.Render(file.State); err != nil || !bytes.Equal(twice, out) {
			t.Fatalf("written twice it changes (%v):\n%s\n---\n%s", err, out, twice)
		}
		kept(t, text, string(out))
	})
}

// kept checks that remarks and lines that are not the program's are all there,
// in their order.
func kept(t *testing.T, before, after string) {
	t.Helper()
	lines := strings.Split(after, "\n")
	for line := range strings.SplitSeq(before, "\n") {
		words, _ := Split(line)
		if strings.TrimSpace(line) == "" || len(words) > 0 && (strings.EqualFold(words[0], "sentinel") || strings.EqualFold(words[0], "user") || strings.EqualFold(words[0], "loglevel")) {
			continue
		}
		for len(lines) > 0 && lines[0] != line {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			t.Fatalf("%q is lost:\n%s\n---\n%s", line, before, after)
		}
	}
}

// chooser makes values of the bytes of a fuzzer.
type chooser []byte

func (c *chooser) below(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b) % n
}

// word is a text without control characters, which no line can hold.
func (c *chooser) word() string {
	var b strings.Builder
	for range c.below(6) {
		if len(*c) == 0 {
			break
		}
		x := (*c)[0]
		*c = (*c)[1:]
		if isControl(rune(x)) {
			x = ' '
		}
		b.WriteByte(x)
	}
	return b.String()
}

func (c *chooser) address(i int) Address {
	hosts := []string{"10.0.0.%d", "::%d", "db%d.example", "2001:DB8::%d"}
	return Address{fmt.Sprintf(hosts[c.below(len(hosts))], i), 1 + c.below(255)}
}

func (c *chooser) state() State {
	s := State{
		CurrentEpoch: uint64(c.below(200)), AnnounceIP: []string{"", "10.0.0.9", "me.example"}[c.below(3)], AnnouncePort: c.below(256),
		ResolveHostnames: true, AnnounceHostnames: c.below(2) == 0, DenyScriptsReconfig: c.below(2) == 0,
		SentinelUser: c.word(), SentinelPass: config.Secret(c.word()), LogLevel: []string{"", "debug", "notice"}[c.below(3)],
	}
	if c.below(2) == 0 {
		s.MyID = ourID
	}
	for i := range c.below(4) {
		s.Users = append(s.Users, fmt.Sprintf("u%d on ~%d", i, c.below(9)))
	}
	for i := range c.below(4) {
		a := c.address(i)
		g := NewGroup(fmt.Sprintf("m%d", i), a.Host, a.Port, 1+c.below(5))
		if c.below(2) == 0 {
			g.DownAfter = warden.Duration(1+c.below(100)) * warden.Millisecond
		}
		if c.below(2) == 0 {
			g.ParallelSyncs = c.below(4)
		}
		g.RebootDownAfter = warden.Duration(c.below(3)) * warden.Second
		g.NotificationScript, g.ReconfigScript, g.AuthUser, g.AuthPass = c.word(), c.word(), c.word(), config.Secret(c.word())
		g.ConfigEpoch, g.LeaderEpoch = uint64(c.below(256)), uint64(c.below(256))
		for j := range c.below(4) {
			g.Replicas = append(g.Replicas, c.address(10+j))
			g.Sentinels = append(g.Sentinels, Neighbour{c.address(20 + j), fmt.Sprint(j) + c.word()})
			g.Renames = append(g.Renames, Rename{fmt.Sprintf("c%d%s", j, c.word()), "x" + c.word()})
		}
		s.Groups = append(s.Groups, g)
	}
	return s
}

// Whatever state is written into whatever file, it is read again as it was.
func FuzzRenderRoundTrip(f *testing.F) {
	for i, s := range seeds(f) {
		f.Add(s, bytes.Repeat([]byte{byte(i), 1, 7, 3, 'a', ' ', '"', '\\', 5, 2, 250}, 40))
	}
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, text string, choices []byte) {
		world := files(nil)
		world.Executable = nil
		file, err := Parse("/etc/s.conf", []byte(text), nil, world)
		if err != nil {
			return
		}
		c := chooser(choices)
		s := c.state()
		primaries := map[warden.NodeID]bool{}
		for _, g := range s.Groups {
			node := Address{g.Host, g.Port}.node()
			if primaries[node] {
				return // no two groups may have one primary
			}
			primaries[node] = true
		}
		before := s.Clone()
		out, err := file.Render(s)
		if err != nil {
			t.Fatalf("%v\n%+v", err, s)
		}
		if !reflect.DeepEqual(before, s) {
			t.Fatal("writing changed the state")
		}
		again, err := Parse("/etc/s.conf", out, nil, world)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want, got := s.readable().normal(), again.State.normal()
		if s.Users == nil {
			got.Users = nil
		}
		if s.LogLevel == "" {
			got.LogLevel = ""
		}
		if what := want.differs(got); what != "" {
			t.Fatalf("%s differs:\n%s", what, out)
		}
		kept(t, text, string(out))
	})
}
