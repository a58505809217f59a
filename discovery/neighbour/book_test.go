package neighbour

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

var (
	own   = strings.Repeat("0", 40)
	ids   = []string{strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)}
	sec   = warden.Second
	start = warden.Instant(1000 * warden.Second)
)

// desk is a Book on a clock of its own that writes down what it tells.
type desk struct {
	*Book
	now     warden.Instant
	served  warden.NodeID
	judged  Judgement
	saved   []uint64
	saving  error
	journal []string
	risen   int
}

// newDesk watches group "g", whose primary is p:1.
func newDesk(m Memory) *desk {
	d := &desk{now: start, served: "p:1"}
	say := func(format string, args ...any) { d.journal = append(d.journal, fmt.Sprintf(format, args...)) }
	d.Book = New(Options{
		ID:    own,
		Judge: func(warden.GroupName, warden.NodeID) Judgement { return d.judged },
		Primary: func(warden.GroupName) warden.NodeID {
			return d.served
		},
		Clock:    func() warden.Instant { return d.now },
		Risen:    func(warden.GroupName) { d.risen++ },
		Announce: func(e warden.Event) { say("%s %s", e.Name, e.Payload) },
		Changed: func(g warden.GroupName, live []string) {
			short := make([]string, len(live))
			for i, id := range live {
				short[i] = id[:1]
			}
			say("live %s [%s]", g, strings.Join(short, " "))
		},
		Switched: func(g warden.GroupName, at warden.NodeID, epoch uint64) { say("switched %s %s %d", g, at, epoch) },
	})
	d.Book.o.Save = d.save
	if m.Primary == "" {
		m.Primary = "p:1"
	}
	d.Watch("g", m)
	return d
}

// says has a Sentinel publish.
func (d *desk) says(id string, port int, current uint64, primary warden.NodeID, config uint64) {
	d.Hello(fmt.Sprintf("10.0.0.1,%d,%s,%d,g,%s,%s,%d", port, id, current, primary.Host(), primary.Port(), config))
}

// pass lets time go by, with a tick each half second.
func (d *desk) pass(span warden.Duration) {
	for end := d.now.Add(span); d.now < end; d.now = d.now.Add(sec / 2) {
		d.Tick()
	}
	d.Tick()
}

func (d *desk) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := strings.Join(d.journal, "\n"); got != strings.Join(want, "\n") {
		t.Errorf("told:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
	d.journal = nil
}

// Goal: a Sentinel comes, becomes silent, and comes back.
func TestLifeOfASentinel(t *testing.T) {
	d := newDesk(Memory{DownAfter: 30 * sec})
	d.says(ids[1], 26380, 0, "p:1", 0)
	d.says(ids[0], 26379, 3, "p:1", 0)
	a, b := "sentinel "+ids[0]+" 10.0.0.1 26379 @ g p 1", "sentinel "+ids[1]+" 10.0.0.1 26380 @ g p 1"
	d.expect(t, "+sentinel "+b, "live g [b]", "+sentinel "+a, "+new-epoch 3", "live g [a b]")
	d.pass(9 * sec)
	d.says(ids[0], 26379, 3, "p:1", 0)
	d.expect(t)
	d.pass(sec)
	d.expect(t, "live g [a]")
	d.pass(10 * sec)
	d.expect(t, "live g []")
	d.pass(10 * sec)
	d.expect(t, "+sdown "+b)
	views := d.Entries("g")
	if len(views) != 2 || !views[1].Down || views[0].Down || views[1].ID != warden.WardenID(ids[1]) ||
		!views[0].Real || views[0].Client != "10.0.0.1:26379" || views[0].HeardAgo != 21*sec {
		t.Errorf("entries: %+v", views)
	}
	d.says(ids[1], 26380, 3, "p:1", 0)
	d.expect(t, "-sdown "+b, "live g [b]")
	if live := d.Live("g"); !slices.Equal(live, ids[1:2]) {
		t.Errorf("live: %v", live)
	}
}

// Goal: addresses change hands as among Sentinels.
func TestAddresses(t *testing.T) {
	d := newDesk(Memory{})
	d.Watch("h", Memory{})
	d.says(ids[0], 26379, 0, "p:1", 0)
	d.Hello("10.0.0.1,26379," + ids[0] + ",0,h,q,1,0")
	d.journal = nil
	d.says(ids[0], 26390, 0, "p:1", 0)
	d.expect(t, "+sentinel-address-switch master g p 1 ip 10.0.0.1 port 26390 for "+ids[0],
		"+sentinel-address-update sentinel "+ids[0]+" 10.0.0.1 26390 @ g p 1 1 additional matching instances")
	if known := d.Known("h"); len(known) != 1 || known[0].Client != "10.0.0.1:26390" {
		t.Errorf("known in the other group: %v", known)
	}
	d.journal = nil
	d.says(ids[1], 26390, 0, "p:1", 0)
	if len(d.journal) < 2 || d.journal[0] != "+sentinel-invalid-addr sentinel "+ids[0]+" 10.0.0.1 26390 @ g p 1" {
		t.Errorf("told %q, want the address to be taken from its owner first", d.journal)
	}
	if known := append(d.Known("g"), d.Known("h")...); len(known) != 1 || known[0].ID != ids[1] {
		t.Errorf("known: %v", known)
	}
}

// Goal: what is ours, of another group, or no hello, changes nothing.
func TestIgnored(t *testing.T) {
	d := newDesk(Memory{})
	good := "10.0.0.1,26379," + ids[0] + ",1,g,p,1,1"
	for name, payload := range map[string]string{
		"our own":             strings.Replace(good, ids[0], own, 1),
		"another group":       strings.Replace(good, ",g,", ",other,", 1),
		"seven tokens":        strings.TrimSuffix(good, ",1"),
		"nine tokens":         good + ",1",
		"empty":               "",
		"a short id":          strings.Replace(good, ids[0], "abc", 1),
		"an id in capitals":   strings.Replace(good, ids[0], strings.ToUpper(ids[0]), 1),
		"no address":          strings.Replace(good, "10.0.0.1", "", 1),
		"port 0":              strings.Replace(good, "26379", "0", 1),
		"a blank in a host":   strings.Replace(good, "10.0.0.1", "10.0.0.1 x", 1),
		"a line in a host":    strings.Replace(good, ",p,", ",p\nx,", 1),
		"a bracketed host":    strings.Replace(good, "10.0.0.1", "[::1]", 1),
		"a negative epoch":    strings.Replace(good, ",1,g", ",-1,g", 1),
		"an epoch too high":   strings.Replace(good, ",1,g", ",18446744073709551615,g", 1),
		"an epoch in words":   strings.TrimSuffix(good, "1") + "one",
		"longer than allowed": strings.Replace(good, ",p,", ","+strings.Repeat("p.", 600)+"p,", 1),
	} {
		d.Hello(payload)
		if len(d.journal) != 0 || len(d.Known("g")) != 0 || d.Epochs("g").Current != 0 {
			t.Errorf("%s was taken: %q", name, d.journal)
			d.journal = nil
		}
	}
	if d.Hello(good); len(d.Known("g")) != 1 {
		t.Error("the hello they are made from is not taken either")
	}
}

// Goal: Wardens publish the same words and are never taken for Sentinels; a
// binary that was replaced, by which means ever, is counted once.
func TestWardensAreNoSentinels(t *testing.T) {
	d := newDesk(Memory{})
	d.says(ids[0], 26379, 0, "p:1", 0)
	d.says(ids[1], 26380, 0, "p:1", 0)
	d.journal = nil
	d.Warden(warden.Hello{ID: "w", Sentinel: ids[0], Client: "10.0.0.9:1"})
	d.says(ids[0], 26379, 0, "p:1", 0)
	d.expect(t, "live g [b]")
	d.Warden(warden.Hello{ID: warden.WardenID(ids[2]), Client: "10.0.0.1:26380"})
	d.says(ids[2], 26380, 0, "p:1", 0)
	d.expect(t, "live g []")
	// The old binary comes back under its id.
	d.pass(Life)
	d.says(ids[0], 26379, 0, "p:1", 0)
	d.expect(t, "+sentinel sentinel "+ids[0]+" 10.0.0.1 26379 @ g p 1", "live g [a]")
	// A Warden that is heard otherwise stays one, however long ago its hello was.
	d.SetWardens([]string{ids[0], ids[2]})
	d.pass(Life)
	d.says(ids[0], 26379, 0, "p:1", 0)
	d.expect(t, "live g []")
	d.SetWardens(nil)
	d.says(ids[0], 26379, 0, "p:1", 0)
	if live := d.Live("g"); len(live) != 1 {
		t.Errorf("live: %v", live)
	}
}

// Goal: somebody who may publish cannot fill the memory, nor push out the living.
func TestBounded(t *testing.T) {
	d := newDesk(Memory{})
	id := func(i int) string { return fmt.Sprintf("%040x", i+1) }
	for i := range MaxSentinels + 10 {
		d.says(id(i), 1000+i, 0, "p:1", 0)
	}
	if n := len(d.Known("g")); n != MaxSentinels || d.find("g", id(0)) == nil {
		t.Errorf("%d are known, the first: %v", n, d.find("g", id(0)))
	}
	d.pass(5 * sec)
	d.says(id(0), 1000, 0, "p:1", 0)
	d.pass(5 * sec)
	d.says(id(MaxSentinels), 999, 0, "p:1", 0)
	if n := len(d.Known("g")); n != MaxSentinels || d.find("g", id(0)) == nil || d.find("g", id(MaxSentinels)) == nil {
		t.Errorf("%d are known after a dead one made room", n)
	}
	for i := range maxWardens + 10 {
		d.Warden(warden.Hello{ID: warden.WardenID(id(1000 + i))})
	}
	if len(d.met) != maxWardens {
		t.Errorf("%d Wardens are kept", len(d.met))
	}
	d.pass(Life)
	d.Warden(warden.Hello{ID: warden.WardenID(ids[0])})
	if len(d.met) != 1 {
		t.Errorf("%d Wardens are kept after a while", len(d.met))
	}
}

func (d *desk) find(name warden.GroupName, id string) *neighbour { return d.groups[name].find(id) }

// Goal: Sentinels of an earlier life are listed, are no news, count as alive only
// once they are heard, and are forgotten when asked.
func TestKnownFromBefore(t *testing.T) {
	d := newDesk(Memory{Epochs: Epochs{Current: 9, Config: 4, Leader: 7}, Known: []Sentinel{{ids[0], "10.0.0.1:26379"}, {"odd", "x:1"}}})
	d.expect(t)
	if v := d.Entries("g"); len(v) != 1 || v[0].HeardAgo >= 0 {
		t.Errorf("entries: %+v", v)
	}
	if e := d.Epochs("g"); e != (Epochs{Current: 9, Config: 4, Primary: "p:1", Leader: 7}) {
		t.Errorf("epochs: %+v", e)
	}
	d.says(ids[0], 26379, 9, "p:1", 4)
	d.expect(t, "live g [a]")
	d.pass(Life)
	d.expect(t, "live g []")
	d.says(ids[0], 26379, 9, "p:1", 4)
	d.journal = nil
	d.Reset("g")
	d.expect(t, "live g []")
	d.Forget("g")
	d.says(ids[0], 26379, 9, "p:1", 4)
	d.expect(t)
	if d.Entries("g") != nil || d.Live("g") != nil || d.Known("g") != nil {
		t.Error("the group is still known")
	}
}

// Goal: nothing that is published can hurt, and what is taken is written again
// as it means.
func FuzzSentinelHello(f *testing.F) {
	f.Add("10.0.0.5,26379," + ids[0] + ",7,mymaster,10.0.0.9,6379,6")
	f.Add("::1,1," + ids[1] + ",0,g,fe80::1,65535,4611686018427387904")
	f.Add("host.example,26379," + own + ",007,a.b-c_d,other,6379,0")
	f.Add(",,,,,,,")
	f.Fuzz(func(t *testing.T, payload string) {
		h, err := parse(payload)
		d := newDesk(Memory{})
		d.Hello(payload)
		if err != nil {
			if len(d.journal) != 0 {
				t.Fatalf("taken: %q", d.journal)
			}
			return
		}
		again, err := parse(h.String())
		if err != nil || again != h {
			t.Fatalf("%+v is read back as %+v (%v)", h, again, err)
		}
		d.Watch(h.group, Memory{})
		d.Hello(payload)
		if n := len(d.Known(h.group)); n != 1 && h.id != own {
			t.Fatalf("%q: %d are known", payload, n)
		}
		for _, line := range d.journal {
			if strings.ContainsAny(line, "\r\n") {
				t.Fatalf("told %q", line)
			}
		}
		hello := warden.Hello{Group: h.group, Client: string(h.client), Primary: h.primary}
		if mine, err := parse(d.Own(hello)); err != nil || mine.primary != h.primary || mine.client != h.client {
			t.Fatalf("our own: %+v (%v)", mine, err)
		}
	})
}
