package rest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/warden"
)

// orderPaths are all paths that change something, or will.
func orderPaths() []string {
	var out []string
	for name, r := range routes {
		if r.methods[0] == "POST" {
			out = append(out, "/"+name, "/groups/mymaster/"+name)
		}
	}
	slices.Sort(out)
	return out
}

// Goal: nothing is changed without the token, at any path, and without a
// configured token by nobody at all.
func TestOrdersNeedTheToken(t *testing.T) {
	s, locked := open(t), open(t, func(o *Options) { o.Token = "" })
	if len(orderPaths()) != 10 { // and PATCH /config, TestSettings
		t.Fatalf("paths of orders: %q", orderPaths())
	}
	for _, path := range orderPaths() {
		for _, given := range []string{"", "Bearer", "Bearer ", "Bearer wrong", "Basic " + token, token, "Bearer " + token + "x", "Bearer " + token[1:]} {
			r := s.ask("POST", path, `{"failover_paused":true}`, "Authorization", given)
			if r.status != 401 || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Bearer") || strings.Contains(r.body, token) {
				t.Errorf("%s with %q: %d %s", path, given, r.status, r.body)
			}
		}
		for _, given := range []string{"", "Bearer ", "Bearer " + token} {
			if r := locked.ask("POST", path, `{"failover_paused":true}`, "Authorization", given); r.status != 403 || !strings.Contains(r.body, "set token_file") {
				t.Errorf("%s without a configured token: %d %s", path, r.status, r.body)
			}
		}
	}
	if got := append(s.dir.Ordered(), locked.dir.Ordered()...); len(got) > 0 {
		t.Errorf("orders were given: %+v", got)
	}
}

// Goal: each order reaches its group as it was meant.
func TestOrders(t *testing.T) {
	const group = warden.GroupName("mymaster")
	for _, c := range []struct {
		path, body string
		want       warden.Command
	}{
		{"/switchover", "", warden.Command{Group: group, Wish: warden.WishSwitchover, Wait: true}},
		{"/switchover", " {} \n", warden.Command{Group: group, Wish: warden.WishSwitchover, Wait: true}},
		{"/switchover?group=mymaster", `{"to":"10.0.0.2:6379","wait":false}`, warden.Command{Group: group, Wish: warden.WishSwitchover, To: nodeB}},
		{"/groups/mymaster/switchover", `{"to":""}`, warden.Command{Group: group, Wish: warden.WishSwitchover, Wait: true}},
		{"/switchover", `{"group":"mymaster","wait":null}`, warden.Command{Group: group, Wish: warden.WishSwitchover, Wait: true}},
		{"/failover/pause", `{"group":"mymaster"}`, warden.Command{Group: group, Wish: warden.WishPause}},
		{"/groups/mymaster/failover/resume", "null", warden.Command{Group: group, Wish: warden.WishResume}},
		{"/cluster/config", `{"failover_paused":true}`, warden.Command{Group: group, Wish: warden.WishConfigure, Items: []warden.SettingItem{{Name: "failover_paused", Value: "true"}}}},
		{"/groups/mymaster/cluster/config", `{"failover_paused":false,"max_replication_lag":1048576,"synchronous_mode":null}`, warden.Command{Group: group, Wish: warden.WishConfigure,
			Items: []warden.SettingItem{{Name: "failover_paused", Value: "false"}, {Name: "synchronous_mode", Unset: true}, {Name: "max_replication_lag", Value: "1048576"}}}},
	} {
		s := open(t)
		if r := s.post(c.path, c.body); r.status != 200 || r.body != `{"verdict":"done"}`+"\n" {
			t.Errorf("%s %s: %d %s", c.path, c.body, r.status, r.body)
		}
		if got := s.dir.Ordered(); len(got) != 1 || !reflect.DeepEqual(got[0], c.want) {
			t.Errorf("%s %s: %+v, want %+v", c.path, c.body, got, c.want)
		}
	}
}

// Goal: the status says how an order ended, the body why.
func TestHowOrdersEnd(t *testing.T) {
	s := open(t)
	for _, c := range []struct {
		answer warden.Answer
		want   int
	}{
		{warden.Answer{Verdict: warden.VerdictDone}, 200},
		{warden.Answer{Verdict: warden.VerdictStarted}, 202},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "no-good-replica", Text: "why"}, 409},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "not-agreed", Text: "why"}, 503},
		{warden.Answer{Verdict: warden.VerdictRefused, Code: "usage"}, 400},
		{warden.Answer{Verdict: warden.VerdictUnknown, Code: "timeout"}, 504},
	} {
		s.dir.Answer = func(context.Context, warden.Command) warden.Answer { return c.answer }
		r := s.post("/switchover", "")
		if r.status != c.want || decode[warden.Answer](t, r) != c.answer {
			t.Errorf("%+v: %d %s", c.answer, r.status, r.body)
		}
	}
}

// Goal: an order that waits for a change outlives the time that a question has,
// and one that hangs ends.
func TestOrdersMayTakeTime(t *testing.T) {
	s := open(t, func(o *Options) { o.RequestTimeout, o.OrderTimeout = 100*time.Millisecond, 300*time.Millisecond })
	s.view(func(v *warden.GroupView) { v.FailoverTimeout = 0 })
	s.dir.Answer = func(ctx context.Context, _ warden.Command) warden.Answer {
		<-ctx.Done()
		if context.Cause(ctx) != context.DeadlineExceeded {
			return warden.Answer{Verdict: warden.VerdictRefused, Code: "cancelled"}
		}
		return warden.Answer{Verdict: warden.VerdictUnknown, Code: "timeout"}
	}
	if r := s.post("/switchover", "{}"); r.status != 504 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Goal: wrong orders are refused with the reason, and nothing is done.
func TestWrongOrders(t *testing.T) {
	s := open(t)
	s.dir.Views = append(s.dir.Views, warden.GroupView{Name: "other"})
	for _, c := range []struct{ path, body, want string }{
		{"/switchover", "", "400 usage this Warden watches 2 groups"},
		{"/groups/mymaster/switchover", "[]", "400 usage the body is not a JSON object"},
		{"/groups/mymaster/switchover", "{", "400 usage the body is not a JSON object"},
		{"/groups/mymaster/switchover", "{}{}", "400 usage the body is not a JSON object"},
		{"/groups/mymaster/switchover", `"x"`, "400 usage the body is not a JSON object"},
		{"/groups/mymaster/switchover", `{"too":"a:1"}`, `400 usage unknown field "too": did you mean "to"?`},
		{"/groups/mymaster/switchover", `{"To":"a:1"}`, `400 usage unknown field "To": did you mean "to"?`},
		{"/groups/mymaster/switchover", `{"scheduled_at":"now"}`, `400 usage unknown field "scheduled_at": there are group, to, wait`},
		{"/groups/mymaster/switchover", `{"to":5}`, "400 usage field to is a number, but text is wanted"},
		{"/groups/mymaster/switchover", `{"wait":"yes"}`, "400 usage field wait is a string, but true or false is wanted"},
		{"/groups/mymaster/switchover", `{"to":"10.0.0.2"}`, `400 usage field to: address "10.0.0.2" has no port`},
		{"/groups/mymaster/switchover", `{"to":"` + strings.Repeat("x", 9000) + `"}`, "400 usage field to: address"},
		{"/groups/mymaster/switchover", `{"group":"mymaster"}`, "400 usage the group is named in the body and elsewhere"},
		{"/switchover?group=mymaster", `{"group":"mymaster"}`, "400 usage the group is named in the body and elsewhere"},
		{"/groups/mymaster/switchover?wait=1", ``, `400 usage unknown parameter "wait"`},
		{"/groups/nobody/switchover", "", "404 unknown-group"},
		{"/failover/pause", `{"group":"nobody"}`, "404 unknown-group"},
		{"/groups/mymaster/failover/pause", `{"to":"a:1"}`, `400 usage unknown field "to"`},
		{"/groups/mymaster/cluster/config", `{}`, "400 usage no setting is given"},
		{"/groups/mymaster/cluster/config", `{"failover_paused":1}`, `400 usage failover_paused is "1": write true or false`},
		{"/groups/mymaster/cluster/config", `{"group":1,"failover_paused":true}`, "400 usage group is to be text"},
		{"/groups/mymaster/cluster/config", `{"revision":-1,"failover_paused":true}`, "400 usage group is to be text, revision a number"},
		{"/groups/mymaster/cluster/config", `{"nodes":{"x":{"nosync":true}}}`, "400 usage field nodes: address"},
		{"/groups/mymaster/cluster/config", `{"nodes":{"10.0.0.2:6379":{"nosink":true}}}`, `400 usage unknown tag "nosink": did you mean "nosync"?`},
		{"/groups/mymaster/cluster/config", `{"nodes":{"10.0.0.2:6379":true}}`, "400 usage group is to be text"},
		{"/groups/mymaster/cluster/config", `{"nodes":{"10.0.0.2:6379":{"failover_priority":0}}}`, "400 usage failover_priority is"},
		{"/groups/mymaster/cluster/config", `{"quorum":[2]}`, "400 usage field quorum is to be true, false, a number"},
		{"/groups/mymaster/cluster/config", `{"quorum":1e3}`, "400 usage quorum is"},
		{"/groups/mymaster/cluster/config", `{"down_after":5}`, "400 usage down_after is"},
		{"/groups/mymaster/cluster/config", `{"failover_pause":true}`, `400 usage unknown field "failover_pause": did you mean "failover_paused"?`},
		{"/groups/mymaster/cluster/config", `{"failover_paused":true,"check_timeline":false}`, "501 not-settable check_timeline cannot be false"},
		{"/groups/mymaster/cluster/config", `{"failsafe_mode":true}`, "501 not-settable failsafe_mode cannot be true: it needs an agent"},
		{"/failsafe", `{}`, "501 no-agent"},
	} {
		r := s.post(c.path, c.body)
		f := decode[failure](t, r)
		if got := fmt.Sprintf("%d %s %s", r.status, f.Code, f.Text); !strings.HasPrefix(got, c.want) || len(got) > 1000 {
			t.Errorf("%s %.60s: %s, want %s", c.path, c.body, got, c.want)
		}
	}
	if r := s.ask("POST", "/groups/mymaster/switchover", "x", "Authorization", "Bearer "+token, "Content-Type", "text/plain"); r.status != 415 {
		t.Errorf("a body of another kind: %d %s", r.status, r.body)
	}
	if got := s.dir.Ordered(); len(got) > 0 {
		t.Errorf("orders were given: %+v", got)
	}
}
