package warden

import (
	"strings"
	"testing"
)

func TestParseNode(t *testing.T) {
	for text, want := range map[string]NodeID{
		"10.0.0.1:6379":          "10.0.0.1:6379",
		"Redis-1.Example:6379":   "redis-1.example:6379",
		"[::1]:6379":             "[::1]:6379",
		"[2001:DB8:0:0::1]:6379": "[2001:db8::1]:6379",
		"[::ffff:10.0.0.1]:6379": "10.0.0.1:6379",
		"[fe80::1%eth0]:6379":    "[fe80::1%eth0]:6379",
		"a:65535":                "a:65535",
		"a:06379":                "a:6379",
	} {
		got, err := ParseNode(text)
		if err != nil || got != want {
			t.Errorf("ParseNode(%q) = %q, %v, want %q", text, got, err, want)
		}
		if again, err := ParseNode(string(got)); err != nil || again != got {
			t.Errorf("ParseNode(%q) is not canonical: %q, %v", got, again, err)
		}
	}
}

// An error names what was written and the remedy.
func TestParseNodeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":            "has no port",
		"10.0.0.1":    "has no port",
		":6379":       "has no port",
		"[]:6379":     "has no host",
		"[::1:6379":   "in brackets",
		"[[::1]]:1":   "has no host",
		"a]:6379":     "has no host",
		"a:":          "not a number",
		"a:0":         "from 1 to 65535",
		"a:65536":     "from 1 to 65535",
		"a:x":         "not a number",
		"a:-1":        "from 1 to 65535",
		"::1:6379":    "in brackets, [::1]:6379",
		"a b:6379":    "blank or a comma",
		"a,b:6379":    "blank or a comma",
		"a\r\nb:6379": "blank or a comma",
	} {
		got, err := ParseNode(text)
		if err == nil || !strings.Contains(err.Error(), want) || got != "" {
			t.Errorf("ParseNode(%q) = %q, %v, want an error with %q", text, got, err, want)
		}
	}
}

func TestMakeNode(t *testing.T) {
	for _, x := range []struct {
		host string
		port int
		want NodeID
	}{
		{"10.0.0.1", 6379, "10.0.0.1:6379"},
		{"::1", 6379, "[::1]:6379"},
		{"[::1]", 6379, "[::1]:6379"},
		{"0:0:0:0:0:0:0:1", 1, "[::1]:1"},
		{"::ffff:127.0.0.1", 1, "127.0.0.1:1"},
		{"DB.Example", 1, "db.example:1"},
	} {
		if got := MakeNode(x.host, x.port); got != x.want {
			t.Errorf("MakeNode(%q, %d) = %q, want %q", x.host, x.port, got, x.want)
		}
	}
}

func TestNodeParts(t *testing.T) {
	for node, want := range map[NodeID][2]string{
		"10.0.0.1:6379": {"10.0.0.1", "6379"},
		"[::1]:6379":    {"::1", "6379"},
		"a":             {"a", "0"},
		"":              {"", "0"},
	} {
		if got := [2]string{node.Host(), node.Port()}; got != want {
			t.Errorf("parts of %q are %q, want %q", node, got, want)
		}
	}
}

func TestParseGroupName(t *testing.T) {
	for _, good := range []string{"mymaster", "My-Master_2.a", strings.Repeat("x", MaxGroupName)} {
		if got, err := ParseGroupName(good); err != nil || string(got) != good {
			t.Errorf("ParseGroupName(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", "a b", "a,b", "a:b", "ä", "a\n", strings.Repeat("x", MaxGroupName+1)} {
		if got, err := ParseGroupName(bad); err == nil {
			t.Errorf("ParseGroupName(%q) = %q, want an error", bad, got)
		}
	}
}

func TestDurationString(t *testing.T) {
	for d, want := range map[Duration]string{
		0:                         "0s",
		999:                       "0us",
		1500:                      "1us",
		Millisecond:               "1ms",
		1500 * Microsecond:        "1ms",
		999 * Millisecond:         "999ms",
		Second:                    "1s",
		1500 * Millisecond:        "1.500s",
		1050 * Millisecond:        "1.050s",
		Minute:                    "1m",
		90 * Second:               "90s",
		-2 * Second:               "-2s",
		-1250 * Millisecond:       "-1.250s",
		Minute + Millisecond:      "60.001s",
		10*Minute + 0*Millisecond: "10m",
	} {
		if got := d.String(); got != want {
			t.Errorf("Duration(%d) prints %q, want %q", int64(d), got, want)
		}
	}
	if got := Instant(2 * Second).Add(Second).String(); got != "3s" {
		t.Errorf("an instant prints %q", got)
	}
	if got := Instant(5).Sub(8); got != -3 {
		t.Errorf("5 - 8 is %d", got)
	}
	if got := (1999 * Microsecond).Milliseconds(); got != 1 {
		t.Errorf("1.999 ms is %d whole milliseconds", got)
	}
}

func TestVersionNewer(t *testing.T) {
	for _, x := range []struct {
		v, w Version
		want bool
	}{
		{Version{2, 1}, Version{1, 9}, true},
		{Version{1, 9}, Version{2, 1}, false},
		{Version{2, 2}, Version{2, 1}, true},
		{Version{2, 1}, Version{2, 1}, false},
		{Version{}, Version{}, false},
	} {
		if got := x.v.Newer(x.w); got != x.want {
			t.Errorf("%s newer than %s: %v", x.v, x.w, got)
		}
	}
}

func TestShort(t *testing.T) {
	if WardenID("0123456789").Short() != "01234567" || WardenID("w1").Short() != "w1" {
		t.Error("an id in a sentence is its first eight digits")
	}
}

// Only silence and refused connections are no sign of life.
func TestHealthAlive(t *testing.T) {
	for health, want := range map[Health]bool{HealthGood: true, HealthLoading: true, HealthBusy: true, HealthDenied: true,
		HealthError: true, HealthSilent: false, HealthRefused: false, "": false} {
		if health.Alive() != want {
			t.Errorf("%q alive: %v", health, !want)
		}
	}
}
