package warden

import (
	"encoding/json"
	"strings"
	"testing"
)

// Goal: tags become what a mind judges by: the lowest priority is preferred
// there, 0 excludes, and no tag takes back what the server says itself.
func TestWish(t *testing.T) {
	tests := []struct {
		name         string
		tags         Tags
		server, want int
		noSync       bool
	}{
		{"nothing wished", Tags{}, 7, 7, false},
		{"excluded", Tags{NoFailover: Yes}, 7, 0, false},
		{"not excluded", Tags{NoFailover: No}, 7, 7, false},
		{"as everybody", Tags{Priority: 100}, 7, 100, false},
		{"preferred", Tags{Priority: 150}, 100, 50, false},
		{"the most preferred is not excluded", Tags{Priority: MaxPreference}, 100, 1, false},
		{"excluded by the server", Tags{Priority: 150, NoFailover: No}, 0, 0, false},
		{"not to be waited for", Tags{NoSync: Yes}, 100, 100, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.tags.Wish(Observation{Priority: tt.server})
			if got.Priority != tt.want || got.NoSync != tt.noSync {
				t.Errorf("priority %d, no sync %v; want %d, %v", got.Priority, got.NoSync, tt.want, tt.noSync)
			}
		})
	}
	got := Tags{NoLoadBalance: Yes, ReplicateFrom: "b:1"}.Wish(Observation{})
	if !got.Unannounced || got.From != "b:1" {
		t.Errorf("unannounced %v, from %q", got.Unannounced, got.From)
	}
	if got := (Tags{NoLoadBalance: No}).Wish(Observation{Unannounced: true}); !got.Unannounced || got.From != "" {
		t.Errorf("a server that hides itself: unannounced %v, from %q", got.Unannounced, got.From)
	}
}

// Goal: what is agreed about a node goes before its configuration, tag by tag.
func TestTagsOver(t *testing.T) {
	below := Tags{NoFailover: Yes, Priority: 5, ReplicateFrom: "b:1"}
	got := Tags{NoFailover: No, NoSync: Yes}.Over(below)
	if want := (Tags{NoFailover: No, NoSync: Yes, Priority: 5, ReplicateFrom: "b:1"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// items reads wishes as an operator writes them; "-name" unsets one.
func items(t *testing.T, texts ...string) (out []SettingItem) {
	t.Helper()
	for _, text := range texts {
		name, unset := strings.CutPrefix(text, "-")
		item, err := ParseSettingItem(name, unset)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, item)
	}
	return out
}

// Goal: several settings are changed at once, and what is unset is gone; the
// settings before stay as they were.
func TestSettingsWith(t *testing.T) {
	first, err := Settings{}.With(items(t, "quorum=2", "down_after=1.5s", "crash_after=300ms", "max_replication_lag=1MB", "synchronous_mode=true",
		"synchronous_mode_strict=false", "failover_paused=true", "check_timeline=true", "failsafe_mode=false",
		"b:2/nofailover=true", "a:1/failover_priority=150", "a:1/nosync=true", "[::1]:6379/noloadbalance=true"))
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{Revision: 1, Paused: true, Quorum: 2, DownAfter: 1500 * Millisecond, CrashAfter: 300 * Millisecond, MaxLag: 1 << 20,
		Durable: Yes, SyncStrict: No, Tags: []NodeTags{{"[::1]:6379", Tags{NoLoadBalance: Yes}}, {"a:1", Tags{NoSync: Yes, Priority: 150}}, {"b:2", Tags{NoFailover: Yes}}}}
	if !first.Equal(&want) {
		t.Fatalf("got %+v\nwant %+v", first, want)
	}
	text, _ := json.Marshal(first)
	var back Settings
	if err := json.Unmarshal(text, &back); err != nil || !back.Equal(&first) {
		t.Errorf("as JSON and back: %s, %v, %+v", text, err, back)
	}
	second, err := first.With(items(t, "-quorum", "-b:2/nofailover", "-a:1/nosync", "max_replication_lag=0", "-failover_paused"))
	if err != nil {
		t.Fatal(err)
	}
	if !first.Equal(&want) {
		t.Error("the settings before were changed in place")
	}
	if second.Quorum != 0 || second.Paused || second.MaxLag != AnyLag || second.Revision != 2 || len(second.Tags) != 2 || second.Tags[1].Tags != (Tags{Priority: 150}) {
		t.Errorf("after unsetting: %+v", second)
	}
	if none := (Settings{Revision: 7, Paused: true}); none.Tune() || !second.Tune() {
		t.Error("Tune is wrong")
	}
}

// Goal: what is wrong is said with what to write, and what cannot be set with
// the reason.
func TestSettingsRefused(t *testing.T) {
	for _, tt := range []struct{ item, code, text string }{
		{"quorums=2", "usage", "there are failover_paused, quorum"},
		{"quorum=0", "usage", "whole number from 1"},
		{"quorum=two", "usage", "whole number"},
		{"down_after=5", "usage", "its unit"},
		{"down_after=99ms", "usage", "below 100ms"},
		{"down_after=-1s", "usage", "its unit"},
		{"down_after=NaNs", "usage", "its unit"},
		{"down_after=9999999h", "usage", "its unit"},
		{"crash_after=1ms", "usage", "below 10ms"},
		{"synchronous_mode=yes", "usage", "true or false"},
		{"max_replication_lag=lots", "usage", "number of bytes"},
		{"max_replication_lag=9999999TB", "usage", "number of bytes"},
		{"check_timeline=false", "not-settable", "another line of data"},
		{"check_timeline=no", "usage", "true or false"},
		{"failsafe_mode=true", "not-settable", "agent"},
		{"failsafe_ttl_ms=30000", "not-settable", "agent"},
		{"nofailover=true", "usage", "HOST:PORT/nofailover"},
		{"a:1/quorum=2", "usage", "unknown tag"},
		{"a:1/failover_priority=0", "usage", "nofailover=true"},
		{"a:1/failover_priority=200", "usage", "from 1 to 199"},
	} {
		_, err := Settings{}.With(items(t, tt.item))
		e, is := err.(*SettingError)
		if !is || e.Code != tt.code || !strings.Contains(e.Text, tt.text) {
			t.Errorf("%s: %v, want %s with %q", tt.item, err, tt.code, tt.text)
		}
	}
	if _, err := (Settings{}).With(nil); err == nil {
		t.Error("no wish at all is taken")
	}
	if _, err := (Settings{}).With(items(t, "quorum=2", "quorum=3")); err == nil {
		t.Error("one setting twice is taken")
	}
	for _, text := range []string{"quorum", "", "x/quorum=1", "/quorum=1"} {
		if _, err := ParseSettingItem(text, false); err == nil {
			t.Errorf("%q is taken for a wish", text)
		}
	}
	if _, err := ParseSettingItem("quorum=1", true); err == nil {
		t.Error("to unset a value is taken")
	}
}

// Goal: no text of an operator makes the parser panic, or settings that do not
// survive the disk.
func FuzzSettings(f *testing.F) {
	for _, text := range []string{"quorum=2", "down_after=1.5s", "a:1/nofailover=true", "[::1]:1/failover_priority=3", "max_replication_lag=1 GiB"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		item, err := ParseSettingItem(text, false)
		if err != nil {
			return
		}
		s, err := Settings{}.With([]SettingItem{item})
		if err != nil {
			return
		}
		data, err := json.Marshal(s)
		var back Settings
		if err != nil || json.Unmarshal(data, &back) != nil || !back.Equal(&s) {
			t.Errorf("%q does not survive: %s, %v", text, data, err)
		}
	})
}

// Goal: settings are shown as what they are, and read back.
func TestSettingValue(t *testing.T) {
	for value, want := range map[SettingValue]string{"true": "true", "5s": `"5s"`, "12": "12", "012": `"012"`, "+5": `"+5"`, "-1": "-1", "": `""`} {
		text, err := json.Marshal(value)
		var back SettingValue
		if err != nil || string(text) != want || json.Unmarshal(text, &back) != nil || back != value {
			t.Errorf("%q: %s, back %q, %v", value, text, back, err)
		}
	}
}
