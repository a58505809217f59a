package warden

import (
	"encoding/json"
	"strconv"
)

// Source says where a setting in force comes from.
type Source string

// Sources. What is agreed goes before what a client of one Warden has set
// (SENTINEL SET), that before the configuration file, and that before the default.
const (
	SourceAgreed  Source = "agreed"
	SourceClient  Source = "client"
	SourceFile    Source = "file"
	SourceDefault Source = "default"
)

// SettingValue is a setting as people write it. In JSON it is true, false, a
// number, or text.
type SettingValue string

// MarshalJSON writes what is a number, true or false as that.
func (v SettingValue) MarshalJSON() ([]byte, error) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	if err == nil && strconv.FormatInt(n, 10) == string(v) || v == "true" || v == "false" {
		return []byte(v), nil
	}
	return json.Marshal(string(v))
}

// UnmarshalJSON reads them back.
func (v *SettingValue) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var s string
		err := json.Unmarshal(text, &s)
		*v = SettingValue(s)
		return err
	}
	*v = SettingValue(text)
	return nil
}

// SettingView is one setting in force, of a group, or of a node where one is named.
type SettingView struct {
	Node   NodeID       `json:"node,omitempty"`
	Name   string       `json:"name"`
	Value  SettingValue `json:"value"`
	Source Source       `json:"source"`
}

// SettingsView answers WishSettings.
type SettingsView struct {
	Group GroupName `json:"group"`
	// Revision counts the agreed changes so far.
	Revision uint64 `json:"revision"`
	// Agreed: this Warden hears a majority of the others; else it may not know
	// what was changed lately.
	Agreed   bool          `json:"agreed"`
	Settings []SettingView `json:"settings"`
}

// Since is what was changed since other settings, in words, but for the pause; ""
// where nothing was.
func (s *Settings) Since(had *Settings) string {
	var out []byte
	say := func(name, was, is string) {
		if was == is {
			return
		}
		if is == "" {
			is = "as configured"
		}
		if len(out) > 0 {
			out = append(out, ", "...)
		}
		out = append(append(append(out, name...), ' '), is...)
	}
	span := func(d Duration) string {
		if d == 0 {
			return ""
		}
		return d.String()
	}
	number := func(n int64) string {
		switch n {
		case 0:
			return ""
		case AnyLag:
			return "0"
		}
		return strconv.FormatInt(n, 10)
	}
	say("quorum", number(int64(had.Quorum)), number(int64(s.Quorum)))
	say("down_after", span(had.DownAfter), span(s.DownAfter))
	say("crash_after", span(had.CrashAfter), span(s.CrashAfter))
	say("synchronous_mode", had.Durable.String(), s.Durable.String())
	say("synchronous_mode_strict", had.SyncStrict.String(), s.SyncStrict.String())
	say("max_replication_lag", number(had.MaxLag), number(s.MaxLag))
	tags := func(node NodeID) {
		was, is := TagsOf(had.Tags, node), TagsOf(s.Tags, node)
		say(string(node)+"/nofailover", was.NoFailover.String(), is.NoFailover.String())
		say(string(node)+"/noloadbalance", was.NoLoadBalance.String(), is.NoLoadBalance.String())
		say(string(node)+"/nosync", was.NoSync.String(), is.NoSync.String())
		say(string(node)+"/failover_priority", number(int64(was.Priority)), number(int64(is.Priority)))
	}
	for _, t := range s.Tags {
		tags(t.Node)
	}
	for _, t := range had.Tags {
		if TagsOf(s.Tags, t.Node) == (Tags{}) {
			tags(t.Node)
		}
	}
	return string(out)
}
