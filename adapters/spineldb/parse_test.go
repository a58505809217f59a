package spineldb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: INFO of different servers is read into the same nouns.
func TestParseInfo(t *testing.T) {
	files, err := filepath.Glob("testdata/*.info")
	if err != nil || len(files) < 5 {
		t.Fatalf("test data: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var o warden.Observation
			in := parseInfo(strings.ReplaceAll(string(text), "\n", "\r\n"))
			in.fill(&o)
			got, err := json.MarshalIndent(o, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".info") + ".json")
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(string(got)) != strings.TrimSpace(string(want)) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// Goal: nothing a server sends in INFO can hurt.
func FuzzParseInfo(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.info") // TestParseInfo checks that they are there
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil {
			f.Add(string(text))
		}
	}
	f.Add("slave0:ip=::1,port=1,state=online,offset=9223372036854775808,lag=0\nmaster_link_down_since_seconds:99999999999999\nrole:slave")
	f.Fuzz(func(t *testing.T, text string) {
		var o warden.Observation
		in := parseInfo(text)
		in.fill(&o)
		if len(o.Replicas) > maxReplicas || o.LinkDown < -warden.Second {
			t.Fatalf("%+v", o)
		}
		for _, n := range append([]warden.Replica{{Node: o.Upstream}}, o.Replicas...) {
			if n.Node == "" {
				continue
			}
			if again, err := warden.ParseNode(string(n.Node)); err == nil && again != n.Node {
				t.Fatalf("address %q is read again as %q", n.Node, again)
			}
		}
	})
}

// Goal: names are read from the right, and only ours are taken for ours.
func TestMark(t *testing.T) {
	id := strings.Repeat("0123456789", 4)
	claim := warden.Claim{Group: "my-group-7", Epoch: 18446744073709551615, Warden: warden.WardenID(id)}
	for _, c := range []struct {
		name string
		want mark
		ok   bool
	}{
		{markOf(claim, false).String(), mark{"my-group-7", 18446744073709551615, "01234567", false}, true},
		{markOf(claim, true).String(), mark{"my-group-7", 18446744073709551615, "01234567", true}, true},
		{"warden-a-1-2-deadbeef", mark{"a-1", 2, "deadbeef", false}, true},
		{"warden-x-watch-2-deadbeef-watch", mark{"x-watch", 2, "deadbeef", true}, true},
		{"warden-watch-2-deadbeef", mark{"watch", 2, "deadbeef", false}, true},
		{name: "warden-g-18446744073709551616-deadbeef"},
		{"warden-g--1-deadbeef", mark{"g-", 1, "deadbeef", false}, true},
		{name: "warden-g-+1-deadbeef"},
		{name: "warden-g-1-deadbee"},
		{name: "warden-g-1-DEADBEEF"},
		{name: "warden--1-deadbeef"},
		{name: "warden-1-deadbeef"},
		{name: "sentinel-deadbeef-cmd"},
		{name: "warden-"},
		{name: ""},
	} {
		got, ok := parseMark(c.name)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%q: %+v %v, want %+v %v", c.name, got, ok, c.want, c.ok)
		}
		if ok && got.String() != c.name {
			t.Errorf("%q is written again as %q", c.name, got)
		}
	}
}

// Goal: the list of clients is read whatever names they gave themselves.
func FuzzParseClients(f *testing.F) {
	f.Add("id=3 addr=127.0.0.1:5 name=warden-g-1-deadbeef age=1\nid=4 addr=[::1]:6 name= flags=N\n")
	f.Add("id=x name=warden-g-1-deadbeef\n\nname=a id=5\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, k := range parseClients(text) {
			if k.ours && len(k.mark.id) != shortID {
				t.Fatalf("%+v", k)
			}
			if k.ours && k.mark.epoch == 0 && !strings.Contains(k.name, "-0") {
				t.Fatalf("%+v", k)
			}
		}
	})
}

// Goal: the keys SpinelDB's own Warden reads come first and in its order.
func TestHelloOnTheWire(t *testing.T) {
	id := strings.Repeat("a", 40)
	got, err := warden.EncodeHello(warden.Hello{ID: warden.WardenID(id), Gossip: "[::1]:7946", Client: "10.0.0.5:26379", Group: "mymaster", Epoch: 3, Primary: "10.0.0.9:7878"})
	want := `{"addr":"10.0.0.5:26379","run_id":"` + id + `","epoch":3,"master_name":"mymaster","master_addr":"10.0.0.9:7878","gossip":"[::1]:7946"}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
	shown := strings.Repeat("b", 40)
	got, err = warden.EncodeHello(warden.Hello{ID: warden.WardenID(id), Client: "10.0.0.5:26379", Group: "mymaster", Sentinel: shown, Neighbour: "goes elsewhere"})
	want = `{"addr":"10.0.0.5:26379","run_id":"` + id + `","epoch":0,"master_name":"mymaster","master_addr":"","sentinel_id":"` + shown + `"}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
	if h, err := warden.ParseHello(want); err != nil || h.Sentinel != shown {
		t.Errorf("read back: %+v (%v)", h, err)
	}
}

// Goal: hellos of SpinelDB's own Warden are understood, garbage is not.
func TestParseHello(t *testing.T) {
	id := strings.Repeat("a", 40)
	old := `{"addr":"10.0.0.5:26379","run_id":"` + id + `","epoch":0,"master_name":"mymaster","master_addr":"10.0.0.9:7878"}`
	h, err := warden.ParseHello(old)
	want := warden.Hello{ID: warden.WardenID(id), Client: "10.0.0.5:26379", Group: "mymaster", Primary: "10.0.0.9:7878"}
	if err != nil || h != want {
		t.Errorf("got %+v (%v), want %+v", h, err, want)
	}
	for name, text := range map[string]string{
		"not JSON":           `10.0.0.5,26379,id,0,mymaster,10.0.0.9,6379,0`,
		"an array":           `[]`,
		"empty":              ``,
		"a short id":         strings.Replace(old, id, "abc", 1),
		"an odd id":          strings.Replace(old, id, strings.Repeat("Z", 40), 1),
		"no group":           strings.Replace(old, "mymaster", "", 1),
		"an odd group":       strings.Replace(old, "mymaster", "my master", 1),
		"a negative epoch":   strings.Replace(old, `"epoch":0`, `"epoch":-1`, 1),
		"an address with LF": strings.Replace(old, "10.0.0.5:", `10.0.0.5\n:`, 1),
		"no port":            strings.Replace(old, "10.0.0.9:7878", "10.0.0.9", 1),
		"nobody to dial":     strings.Replace(old, "10.0.0.5:26379", "", 1),
		"an odd shown id":    strings.Replace(old, `{`, `{"sentinel_id":"me",`, 1),
		"far too long":       strings.Replace(old, `{`, `{"x":"`+strings.Repeat("x", warden.MaxHello)+`",`, 1),
	} {
		if h, err := warden.ParseHello(text); err == nil {
			t.Errorf("%s was taken: %+v", name, h)
		}
	}
}

// Goal: whatever is read from the channel can be sent again, and means the same.
func FuzzParseHello(f *testing.F) {
	f.Add(`{"addr":"10.0.0.5:26379","run_id":"` + strings.Repeat("a", 40) + `","epoch":0,"master_name":"m","master_addr":"10.0.0.9:7878"}`)
	f.Add(`{"addr":"[::ffff:1.2.3.4]:1","run_id":"` + strings.Repeat("0", 40) + `","epoch":18446744073709551615,"master_name":"a","gossip":"H:2"}`)
	f.Add(`{"addr":"a:1","run_id":"` + strings.Repeat("0", 40) + `","master_name":"a","sentinel_id":"` + strings.Repeat("f", 40) + `"}`)
	f.Fuzz(func(t *testing.T, text string) {
		h, err := warden.ParseHello(text)
		if err != nil {
			return
		}
		again, err := warden.EncodeHello(h)
		if err != nil {
			return // longer than it came: escapes
		}
		if back, err := warden.ParseHello(string(again)); err != nil || back != h {
			t.Fatalf("%+v is read back as %+v (%v)", h, back, err)
		}
	})
}
