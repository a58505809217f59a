package rest

import (
	"context"
	"net/http"
	"reflect"
	"testing"

	"github.com/spineldb/warden/warden"
)

// Goal: who asks gets the settings without a token, and who changes them needs it;
// the wishes reach the group in an order that does not depend on chance.
func TestSettings(t *testing.T) {
	s := open(t)
	r := s.get("/groups/mymaster/config")
	const want = `{"group":"mymaster","revision":4,"agreed":true,"settings":[{"name":"quorum","value":2,"source":"file"},{"node":"10.0.0.2:6379","name":"nosync","value":true,"source":"agreed"}]}` + "\n"
	if r.status != http.StatusOK || r.body != want {
		t.Errorf("GET: %d %s", r.status, r.body)
	}
	s.dir.Commands = nil
	const body = `{"revision":4,"quorum":3,"down_after":"2s","crash_after":null,"nodes":{"10.0.0.3:6379":{"noloadbalance":true},"10.0.0.2:6379":{"nosync":null,"failover_priority":150}}}`
	for _, path := range []string{"/groups/mymaster/config", "/config?group=mymaster"} {
		if r := s.ask(http.MethodPatch, path, body); r.status != http.StatusUnauthorized {
			t.Errorf("PATCH %s without a token: %d %s", path, r.status, r.body)
		}
		if r := s.ask(http.MethodPatch, path, body, "Authorization", "Bearer "+token); r.status != http.StatusOK {
			t.Errorf("PATCH %s: %d %s", path, r.status, r.body)
		}
	}
	four := uint64(4)
	cmd := warden.Command{Group: "mymaster", Wish: warden.WishConfigure, Revision: &four, Items: []warden.SettingItem{
		{Name: "quorum", Value: "3"}, {Name: "down_after", Value: "2s"}, {Name: "crash_after", Unset: true},
		{Node: nodeB, Name: "failover_priority", Value: "150"}, {Node: nodeB, Name: "nosync", Unset: true}, {Node: nodeC, Name: "noloadbalance", Value: "true"}}}
	if got := s.dir.Ordered(); !reflect.DeepEqual(got, []warden.Command{cmd, cmd}) {
		t.Errorf("ordered %+v\nwant twice %+v", got, cmd)
	}
}

// Goal: a refusal by the Wardens keeps its reason, and its status tells of what
// kind it is.
func TestSettingsRefused(t *testing.T) {
	s := open(t)
	for code, want := range map[string]int{"changed": 409, "quorum": 409, "unknown-node": 409, "usage": 400, "not-settable": 501, "not-agreed": 503} {
		s.dir.Answer = func(context.Context, warden.Command) warden.Answer {
			return warden.Answer{Verdict: warden.VerdictRefused, Code: code, Text: "why"}
		}
		if r := s.post("/cluster/config", `{"quorum":3}`); r.status != want || decode[warden.Answer](t, r).Text != "why" {
			t.Errorf("%s: %d %s", code, r.status, r.body)
		}
		if r := s.get("/config"); r.status != 503 {
			t.Errorf("%s, GET: %d %s", code, r.status, r.body)
		}
	}
}
