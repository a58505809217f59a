package warden

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// SettingItem is one wish of a Command with WishConfigure, as people write it:
// "down_after=5s", or "10.0.0.2:6379/nofailover=true" for the tag of a node.
type SettingItem struct {
	Node  NodeID `json:"node,omitempty"`
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// Unset: as each Warden's configuration says, from now on.
	Unset bool `json:"unset,omitempty"`
}

// SettingError says why settings cannot be changed so, and what to write.
type SettingError struct {
	// Code is usage or not-settable.
	Code, Text string
}

func (e *SettingError) Error() string { return e.Text }

func wrongSetting(format string, args ...any) *SettingError {
	return &SettingError{"usage", fmt.Sprintf(format, args...)}
}

// settingNames are those of a group in the order of showing, tagNames those of
// a node.
func settingNames() []string {
	return []string{"failover_paused", "quorum", "down_after", "crash_after", "synchronous_mode", "synchronous_mode_strict",
		"max_replication_lag", "check_timeline", "failsafe_mode", "failsafe_ttl_ms"}
}

func tagNames() []string {
	return []string{"nofailover", "noloadbalance", "nosync", "failover_priority"}
}

// SettingNames are the names of all settings of a group, or of a node.
func SettingNames(ofNode bool) []string {
	if ofNode {
		return tagNames()
	}
	return settingNames()
}

// ParseSettingItem reads name=value, or HOST:PORT/name=value. With unset there is
// no value. Whether the name is one shows when it is applied.
func ParseSettingItem(text string, unset bool) (SettingItem, error) {
	name, value, has := strings.Cut(text, "=")
	switch {
	case has && unset:
		return SettingItem{}, wrongSetting("%s is to be unset, which needs no value: leave out what follows the name", clipped(name))
	case !has && !unset:
		return SettingItem{}, wrongSetting("%q is no setting: write name=value, or HOST:PORT/name=value for a node", clipped(text))
	}
	item := SettingItem{Name: name, Value: value, Unset: unset}
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		node, err := ParseNode(name[:min(at, 300)])
		if err != nil {
			return SettingItem{}, wrongSetting("%v: write HOST:PORT/%s", err, clipped(name[at+1:]))
		}
		item.Node, item.Name = node, name[at+1:]
	}
	return item, nil
}

// clipped bounds what is quoted of a request.
func clipped(s string) string {
	const most = 64
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// With returns the settings after all of the wishes, with the next Revision, or a
// SettingError. Whether the Wardens can keep to them is not judged here.
func (s Settings) With(items []SettingItem) (Settings, error) {
	if len(items) == 0 {
		return s, wrongSetting("no setting is given: write name=value")
	}
	for i, item := range items {
		if slices.ContainsFunc(items[:i], func(o SettingItem) bool { return o.Node == item.Node && o.Name == item.Name }) {
			return s, wrongSetting("%s is there twice: keep one of the two", clipped(item.Name))
		}
		var err *SettingError
		if item.Node == "" {
			err = s.set(item)
		} else {
			s, err = s.setTag(item)
		}
		if err != nil {
			return s, err
		}
	}
	if len(s.Tags) > maxTagged {
		return s, wrongSetting("more than %d nodes would have tags: unset those of nodes that are gone", maxTagged)
	}
	s.Revision++
	return s, nil
}

// set takes one wish about the group in. s is a copy already.
func (s *Settings) set(item SettingItem) (err *SettingError) {
	switch item.Name {
	case "failover_paused":
		var paused Switch
		err = item.yesNo(&paused)
		s.Paused = paused == Yes
	case "quorum":
		n := int64(0)
		err = item.whole(&n, 1, math.MaxInt32, "how many Wardens have to agree that a primary is down")
		s.Quorum = int(n)
	case "down_after":
		err = item.span(&s.DownAfter, MinDownAfter)
	case "crash_after":
		err = item.span(&s.CrashAfter, MinCrashAfter)
	case "max_replication_lag":
		err = item.lag(&s.MaxLag)
	case "synchronous_mode":
		err = item.yesNo(&s.Durable)
	case "synchronous_mode_strict":
		err = item.yesNo(&s.SyncStrict)
	case "check_timeline":
		return item.fixed("true", "a replica of another line of data is never promoted: positions of different lines cannot be compared; make that line a group of its own")
	case "failsafe_mode":
		return item.fixed("false", "it needs an agent on the hosts of the nodes, which there is not yet")
	case "failsafe_ttl_ms":
		return item.fixed("", "it needs an agent on the hosts of the nodes, which there is not yet")
	default:
		if slices.Contains(tagNames(), item.Name) {
			return wrongSetting("%s is a tag of a node: write HOST:PORT/%s", item.Name, item.Name)
		}
		return wrongSetting("unknown setting %q: there are %s, and for a node %s", clipped(item.Name),
			strings.Join(settingNames(), ", "), strings.Join(tagNames(), ", "))
	}
	return err
}

// setTag takes one wish about a node in.
func (s Settings) setTag(item SettingItem) (Settings, *SettingError) {
	var err *SettingError
	change := func(t *Tags) {
		switch item.Name {
		case "nofailover":
			err = item.yesNo(&t.NoFailover)
		case "noloadbalance":
			err = item.yesNo(&t.NoLoadBalance)
		case "nosync":
			err = item.yesNo(&t.NoSync)
		case "failover_priority":
			n := int64(0)
			err = item.whole(&n, 1, MaxPreference, "the highest one is preferred; a node that is never to be promoted gets nofailover=true")
			t.Priority = int(n)
		default:
			err = wrongSetting("unknown tag %q of %s: there are %s", clipped(item.Name), item.Node, strings.Join(tagNames(), ", "))
		}
	}
	s = s.tag(item.Node, change)
	return s, err
}

func (i SettingItem) yesNo(into *Switch) *SettingError {
	switch {
	case i.Unset:
		*into = Unsaid
	case i.Value == "true" || i.Value == "false":
		*into = SwitchOf(i.Value == "true")
	default:
		return wrongSetting("%s is %q: write true or false", i.Name, clipped(i.Value))
	}
	return nil
}

func (i SettingItem) whole(into *int64, least, most int64, what string) *SettingError {
	if i.Unset {
		*into = 0
		return nil
	}
	n, err := strconv.ParseInt(i.Value, 10, 64)
	if err != nil || n < least || n > most {
		return wrongSetting("%s is %q: write a whole number from %d to %d, %s", i.Name, clipped(i.Value), least, most, what)
	}
	*into = n
	return nil
}

func (i SettingItem) span(into *Duration, least Duration) *SettingError {
	if i.Unset {
		*into = 0
		return nil
	}
	d, ok := parseSpan(i.Value)
	switch {
	case !ok:
		return wrongSetting("%s is %q: write a number and its unit, such as \"800ms\", \"5s\" or \"1m\"", i.Name, clipped(i.Value))
	case d < least:
		return wrongSetting("%s is %s, below %s, the least that can be judged by", i.Name, d, least)
	}
	*into = d
	return nil
}

func (i SettingItem) lag(into *int64) *SettingError {
	if i.Unset {
		*into = 0
		return nil
	}
	n, ok := ParseBytes(i.Value)
	if !ok {
		return wrongSetting("%s is %q: write a number of bytes, or one with B, kB, MB, GB or TB; 0 is any number", i.Name, clipped(i.Value))
	}
	if *into = n; n == 0 {
		*into = AnyLag
	}
	return nil
}

// fixed is a setting that has one value for ever; to set that changes nothing.
func (i SettingItem) fixed(value, why string) *SettingError {
	if i.Unset || value != "" && i.Value == value {
		return nil
	}
	if i.Value != "true" && i.Value != "false" && value != "" {
		return wrongSetting("%s is %q: write true or false", i.Name, clipped(i.Value))
	}
	return &SettingError{"not-settable", fmt.Sprintf("%s cannot be %s: %s", i.Name, clipped(i.Value), why)}
}

// spanUnits are those that a span may be written in.
var spanUnits = []struct {
	name string
	unit Duration
}{{"ms", Millisecond}, {"s", Second}, {"m", Minute}, {"h", 60 * Minute}}

// parseSpan reads a number with a unit, up to a day.
func parseSpan(text string) (Duration, bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return 0, false
	}
	for _, u := range spanUnits {
		if text[len(digits):] == u.name && n*float64(u.unit) <= float64(24*60*Minute) {
			return Duration(math.Round(n * float64(u.unit))), true
		}
	}
	return 0, false
}

// ParseBytes reads a number of bytes, alone or with a unit: 1048576, 16MB, 1 GiB.
// Units are powers of 1024, as PostgreSQL has them.
func ParseBytes(text string) (bytes int64, ok bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 {
		return 0, false
	}
	unit := strings.ToUpper(strings.TrimSpace(text[len(digits):]))
	power := slices.Index([]string{"B", "KB", "MB", "GB", "TB"}, strings.Replace(unit, "IB", "B", 1))
	if unit == "" {
		power = 0
	}
	if power < 0 {
		return 0, false
	}
	for range power {
		if n > math.MaxInt64/1024 {
			return 0, false
		}
		n *= 1024
	}
	return n, true
}
