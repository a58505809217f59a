package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// Goal: what people read of the settings in force, to the letter; machines get
// values as what they are.
func TestConfigGet(t *testing.T) {
	f := startFake(t, idA, healthyView(idA, map[string]string{}))
	text, err := json.Marshal(warden.SettingsView{Group: "mymaster", Revision: 3, Agreed: true, Settings: []warden.SettingView{
		{Name: "quorum", Value: "2", Source: warden.SourceFile}, {Name: "down_after", Value: "1.500s", Source: warden.SourceAgreed},
		{Node: "10.0.0.2:6379", Name: "nofailover", Value: "true", Source: warden.SourceAgreed}}})
	if err != nil {
		t.Fatal(err)
	}
	f.answer = string(text)
	o := runCommand(t, "config", "get", "mymaster", "--server", f.addr)
	want := `mymaster: revision 3 [` + f.addr + `]
SETTING                   VALUE   SOURCE
quorum                    2       file
down_after                1.500s  agreed
10.0.0.2:6379/nofailover  true    agreed
`
	if o.code != exit.Done || o.out != want {
		t.Errorf("exit code %d:\n%s%s\nwant\n%s", o.code, o.out, o.errs, want)
	}
	if o = runCommand(t, "config", "get", "--json", "--server", f.addr); !strings.Contains(o.out, `"value":2`) || !strings.Contains(o.out, `"value":"1.500s"`) {
		t.Errorf("JSON: %s%s", o.out, o.errs)
	}
}

// Goal: wishes reach the Warden in its words, wherever the flags stand.
func TestConfigSet(t *testing.T) {
	f := startFake(t, idA, healthyView(idA, map[string]string{}))
	f.answer = `{"verdict":"done"}`
	o := runCommand(t, "config", "set", "mymaster", "down_after=2s", "--unset", "quorum", "10.0.0.2:6379/nofailover=true", "--revision", "4", "--unset", "10.0.0.3:6379/nosync", "--server", f.addr)
	if want := "config set mymaster: done [" + f.addr + "]\n"; o.code != exit.Done || o.out != want {
		t.Errorf("exit code %d: %q%s", o.code, o.out, o.errs)
	}
	o = runCommand(t, "config", "set", "failover_paused=true", "--server", f.addr)
	if o.code != exit.Done {
		t.Errorf("without a group: exit code %d: %s", o.code, o.errs)
	}
	f.answer = `{"verdict":"refused","code":"changed","text":"the settings are of revision 5 by now, not 4: read them again"}`
	if o = runCommand(t, "config", "set", "mymaster", "quorum=2", "--server", f.addr); o.code != exit.Refused || !strings.Contains(o.out, "refused (changed): the settings are of revision 5") {
		t.Errorf("refused: exit code %d: %q%s", o.code, o.out, o.errs)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	const want = "STATUS; CONFIG SET mymaster REVISION 4 down_after=2s 10.0.0.2:6379/nofailover=true UNSET quorum 10.0.0.3:6379/nosync; " +
		"STATUS; CONFIG SET mymaster failover_paused=true; STATUS; CONFIG SET mymaster quorum=2"
	if asked := strings.Join(f.asked, "; "); asked != want {
		t.Errorf("asked %q\nwant  %q", asked, want)
	}
}

// Goal: a mistake is told with what to write, and asks nobody.
func TestConfigMistakes(t *testing.T) {
	for _, tt := range []struct{ words, want string }{
		{"config", "config needs get or set"},
		{"config list mymaster", "config needs get or set"},
		{"config get mymaster quorum=2", "config get takes one GROUP"},
		{"config get mymaster --unset quorum", "changes nothing"},
		{"config set mymaster", "config set needs a setting"},
		{"config set mymaster qorum=2", `did you mean "quorum"?`},
		{"config set mymaster a:1/nosnc=true", `did you mean "nosync"?`},
		{"config set mymaster quorum=2 down_after", "write name=value"},
		{"config set mymaster x/quorum=2", "write HOST:PORT/quorum"},
		{"config set mymaster --unset quorum=2", "leave out what follows the name"},
	} {
		if o := runCommand(t, strings.Fields(tt.words)...); o.code != exit.Usage || !strings.Contains(o.errs, tt.want) {
			t.Errorf("%s: exit code %d: %s, want %q", tt.words, o.code, o.errs, tt.want)
		}
	}
}

// Goal: of what is not agreed it is said who set it, and where.
func TestSettingsHaveSources(t *testing.T) {
	m := config.Master{Written: []string{"quorum", "crash_after"}}
	changed := groupChanges{Options: []resp.Setting{{Name: "quorum", Values: []string{"3"}}, {Name: "failover-timeout", Values: []string{"9"}}}}
	v := &warden.SettingsView{Settings: []warden.SettingView{
		{Name: "quorum", Source: warden.SourceFile}, {Name: "crash_after", Source: warden.SourceFile}, {Name: "down_after", Source: warden.SourceAgreed},
		{Name: "max_replication_lag", Source: warden.SourceFile}, {Node: "a:1", Name: "nosync", Source: warden.SourceFile}}}
	nameSources(v, m, changed)
	want := []warden.Source{warden.SourceClient, warden.SourceFile, warden.SourceAgreed, warden.SourceDefault, warden.SourceFile}
	for i, s := range v.Settings {
		if s.Source != want[i] {
			t.Errorf("%s: %s, want %s", s.Name, s.Source, want[i])
		}
	}
}
