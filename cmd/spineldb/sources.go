package main

import (
	"slices"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// agreedOptions are the options of SENTINEL SET that the Wardens may have agreed
// on, by the names of settings.
var agreedOptions = map[string]string{"quorum": "quorum", optionDown: "down_after"}

// nameSources says of every setting that is not agreed where this Warden has it from.
func nameSources(v *warden.SettingsView, m config.Master, changed groupChanges) {
	for i := range v.Settings {
		s := &v.Settings[i]
		if s.Source == warden.SourceAgreed || s.Node != "" {
			continue
		}
		if changed.sets(s.Name) {
			s.Source = warden.SourceClient
		} else if !slices.Contains(m.Written, s.Name) {
			s.Source = warden.SourceDefault
		}
	}
}

// sets reports whether a client set what has this name as a setting. With SENTINEL
// MONITOR it gave the quorum.
func (g groupChanges) sets(setting string) bool {
	if setting == "quorum" && g.Primary != "" {
		return true
	}
	return slices.ContainsFunc(g.Options, func(o resp.Setting) bool { return agreedOptions[o.Name] == setting })
}

// isAgreed reports whether the Wardens agree on a setting by this name.
func isAgreed(s warden.Settings, setting string) bool {
	return setting == "quorum" && s.Quorum > 0 || setting == "down_after" && s.DownAfter > 0
}
