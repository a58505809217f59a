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
