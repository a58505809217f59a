package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/warden"
)

// threeReports are three Wardens of one mind.
func threeReports() []remote.Report {
	clients := map[string]string{idA: "10.0.1.1:26379", idB: "10.0.1.2:26379", idC: "10.0.1.3:26379"}
	var out []remote.Report
	for _, id := range []string{idA, idB, idC} {
		out = append(out, remote.Report{
			Server: clients[id], ID: warden.WardenID(id), Self: &warden.SelfView{ID: warden.WardenID(id)},
			Groups: []warden.GroupView{healthyView(id, clients)},
		})
	}
	return out
}

func render(reports []remote.Report) string {
	s := statusReport{Wardens: reports}
	for _, name := range remote.GroupsOf(reports) {
		s.Groups = append(s.Groups, judge(name, reports))
	}
	return (&program{}).renderStatus(s)
}

// What people see of a group in good order, and of one in trouble.
func TestRenderStatus(t *testing.T) {
	const healthy = `mymaster  primary 10.0.0.1:6379  agreed
  epoch 3  step 2  done  since failover  quorum 2 of 3 Wardens  down_after 30s  failover_timeout 3m

  NODE                ROLE     STATE         POSITION  LAG  SEEN       OPINIONS
  10.0.0.1:6379       primary  up            12345     -    100ms ago  up 3/3
  10.0.0.2:6379       replica  up            12331     14   200ms ago  up 3/3
  [2001:db8::3]:6379  replica  not seen yet  -         -    never      up 3/3

  WARDEN    CLIENT          LISTED  STATE
  aaaaaaaa  10.0.1.1:26379  yes     fresh, topology 3.2, promise 3
  bbbbbbbb  10.0.1.2:26379  yes     fresh, topology 3.2, promise 3
  cccccccc  10.0.1.3:26379  yes     fresh, topology 3.2, promise 3
`
	if got := render(threeReports()); got != healthy {
		t.Errorf("healthy:\n%s\nwant\n%s", got, healthy)
	}

	reports := threeReports()
	for i := range reports {
		reports[i].Groups[0].Topology.Settings = warden.Settings{DownAfter: 2 * warden.Second, Tags: []warden.NodeTags{{Node: "10.0.0.2:6379", Tags: warden.Tags{NoFailover: warden.Yes}}}}
	}
	if got, want := render(reports), "\n  agreed at run time: down_after 2s, 10.0.0.2:6379/nofailover true\n"; !strings.Contains(got, want) {
		t.Errorf("with settings:\n%s\nwant %q in it", got, want)
	}

	reports = threeReports()
	for i := range 2 {
		n := &reports[i].Groups[0].Nodes[0]
		n.Down, n.Why, n.DownAgo, n.Agreeing = true, "no answer", 31*warden.Second, 2
		n.Odown = i == 0
		n.Observation = warden.Observation{Health: warden.HealthSilent}
	}
	reports[1].Groups[0].Nodes[0].Why = "refuses connections for 31s"
	reports[0].Groups[0].Nodes[1].Observation.Role = warden.RolePrimary
	reports[2] = remote.Report{Server: "10.0.1.3:26379", ID: idC, Error: "no answer in time"}
	const trouble = `mymaster  primary 10.0.0.1:6379  agreed
  epoch 3  step 2  done  since failover  quorum 2 of 3 Wardens  down_after 30s  failover_timeout 3m
  ! the primary 10.0.0.1:6379 is down, and enough Wardens say so (2 of 2 needed)
  ! Warden cccccccc at 10.0.1.3:26379 could not be asked: no answer in time

  NODE                ROLE                    STATE          POSITION  LAG  SEEN       OPINIONS
  10.0.0.1:6379       primary                 DOWN (agreed)  -         -    100ms ago  down 2/2  aaaaaaaa: down (no answer, for 31s); bbbbbbbb: down (refuses connections for 31s)
  10.0.0.2:6379       replica (says primary)  up             12331     -    200ms ago  up 2/2
  [2001:db8::3]:6379  replica                 not seen yet   -         -    never      up 2/2

  WARDEN    CLIENT          LISTED  STATE
  aaaaaaaa  10.0.1.1:26379  yes     fresh, topology 3.2, promise 3
  bbbbbbbb  10.0.1.2:26379  yes     fresh, topology 3.2, promise 3
  cccccccc  10.0.1.3:26379  yes     no answer in time
`
	if got := render(reports); got != trouble {
		t.Errorf("trouble:\n%s\nwant\n%s", got, trouble)
	}
}

// Goal: who keeps acknowledged writes is said, and what is not usual about it.
func TestRenderSyncSets(t *testing.T) {
	reports := threeReports()
	now := warden.SyncSet{K: 1, Members: []warden.Member{{Node: "10.0.0.2:6379", Name: "n"}, {Node: "[2001:db8::3]:6379", Name: "m"}}}
	set := func(sets ...warden.SyncSet) string {
		for i := range reports {
			reports[i].Groups[0].Topology.Sync = sets
		}
		return render(reports)
	}
	for want, got := range map[string]string{
		"\n  acknowledged writes are on any 1 of 10.0.0.2:6379, [2001:db8::3]:6379\n\n": set(now),
		"on any 1 of 10.0.0.2:6379, and on any 1 of 10.0.0.2:6379, [2001":               set(warden.SyncSet{K: 1, Members: now.Members[:1]}, now),
		"acknowledged writes are on the primary alone\n  ! degraded: ":                  set(warden.SyncSet{}),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
	set(now)
	for i := range reports {
		g := &reports[i].Groups[0]
		g.Agreed = false
		g.Nodes[0].Observation.ReadOnly, g.Nodes[1].Observation.Sealed = true, true
	}
	got := render(reports)
	for _, want := range []string{"up, takes no writes", "up, sealed", "  ! standbys are sealed", "spineldb release mymaster"} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%s\nwant %q in it", got, want)
		}
	}
}

// groupIn is what the Warden of one report says of its only group.
func groupIn(rs []remote.Report, i int) *warden.GroupView { return &rs[i].Groups[0] }

// judgements are changes to three reports of one mind, and what follows.
var judgements = []struct {
	name   string
	change func(rs []remote.Report) []remote.Report
	agreed bool
	want   []string
}{
	{"healthy", func(rs []remote.Report) []remote.Report { return rs }, true, nil},
	{"one alone", func(rs []remote.Report) []remote.Report {
		groupIn(rs, 2).Agreed, groupIn(rs, 2).HeardAgo = false, 12*warden.Second
		return rs
	}, true, []string{"Warden cccccccc is not fresh: it has heard no majority for 12s"}},
	{"all alone", func(rs []remote.Report) []remote.Report {
		for i := range rs {
			groupIn(rs, i).Agreed, groupIn(rs, i).HeardAgo = false, 12*warden.Second
		}
		return rs
	}, false, []string{"not fresh: no Warden asked has heard a majority for 12s"}},
	{"provisional", func(rs []remote.Report) []remote.Report {
		for i := range rs {
			g := groupIn(rs, i)
			g.Provisional, g.Agreed, g.Topology = true, false, warden.Topology{}
		}
		groupIn(rs, 1).Primary = "10.0.0.9:1"
		return rs
	}, false, []string{"no first agreement yet; 10.0.0.1:6379 is served provisionally", "Warden bbbbbbbb provisionally names 10.0.0.9:1"}},
	{"newcomer", func(rs []remote.Report) []remote.Report {
		g := groupIn(rs, 0)
		g.Provisional, g.Agreed, g.Topology = true, false, warden.Topology{}
		return rs
	}, true, []string{"Warden aaaaaaaa has not joined the agreement yet"}},
	{"behind", func(rs []remote.Report) []remote.Report {
		groupIn(rs, 0).Topology.Step, groupIn(rs, 0).Primary = 1, "10.0.0.2:6379"
		return rs
	}, true, []string{"Warden aaaaaaaa is behind: it knows topology 3.1 with primary 10.0.0.2:6379, others 3.2"}},
	{"two births", func(rs []remote.Report) []remote.Report {
		groupIn(rs, 1).Topology.Birth, groupIn(rs, 1).Primary = "b2", "10.0.0.2:6379"
		return rs
	}, false, []string{"Warden bbbbbbbb belongs to another agreement, with primary 10.0.0.2:6379"}},
	{"given up as lost", func(rs []remote.Report) []remote.Report {
		for i := range 2 {
			groupIn(rs, i).Topology.Replaces = groupIn(rs, 2).Topology.Birth
			groupIn(rs, i).Topology.Birth = "b2"
		}
		return rs
	}, true, []string{"Warden cccccccc was given up as lost by recover"}},
	{"quorum above the list", func(rs []remote.Report) []remote.Report {
		for i := range rs {
			groupIn(rs, i).Quorum = 4
		}
		return rs
	}, true, []string{"quorum is 4 and the list has 3 Wardens, so nothing else can be agreed: spineldb config set mymaster quorum=2"}},
	{"same topology, other primary", func(rs []remote.Report) []remote.Report {
		groupIn(rs, 1).Primary = "10.0.0.2:6379"
		return rs
	}, false, []string{"Warden bbbbbbbb names 10.0.0.2:6379 as primary for the same topology"}},
	{"promoting", func(rs []remote.Report) []remote.Report {
		for i := range rs {
			top := &groupIn(rs, i).Topology
			top.Phase, top.Primary, top.Previous = warden.PhasePromoting, "10.0.0.2:6379", "10.0.0.1:6379"
		}
		groupIn(rs, 2).Failover = "wait_promotion"
		return rs
	}, true, []string{"10.0.0.2:6379 is being promoted in place of 10.0.0.1:6379 (failover)", "Warden cccccccc is changing the primary: wait_promotion"}},
	{"paused, tilted, mute", func(rs []remote.Report) []remote.Report {
		for i := range rs {
			groupIn(rs, i).Paused = true
		}
		groupIn(rs, 0).Tilt, groupIn(rs, 0).TiltFor, groupIn(rs, 1).Mute = true, 2*warden.Second, true
		return rs
	}, true, []string{"paused: nothing will be changed until spineldb resume mymaster", "Warden aaaaaaaa distrusts its clock (TILT, for 2s)", "Warden bbbbbbbb cannot write its data_dir"}},
	{"absent", func(rs []remote.Report) []remote.Report {
		rs[1].Groups = nil
		return rs[:2]
	}, true, []string{"Warden bbbbbbbb is listed but does not watch this group", "Warden cccccccc is listed, but no Warden asked knows its address"}},
	{"nobody watches", func(rs []remote.Report) []remote.Report {
		for i := range rs {
			rs[i].Groups = nil
		}
		return rs
	}, false, []string{"no Warden that answers watches group mymaster"}},
}

// What is not agreed, not fresh or not normal is said in words, and only what
// is not agreed makes the command fail.
func TestJudge(t *testing.T) {
	for _, tt := range judgements {
		t.Run(tt.name, func(t *testing.T) {
			j := judge("mymaster", tt.change(threeReports()))
			if j.Agreed != tt.agreed {
				t.Errorf("agreed %v, want %v", j.Agreed, tt.agreed)
			}
			if len(j.Problems) != len(tt.want) {
				t.Fatalf("problems %q, want %q", j.Problems, tt.want)
			}
			for i, want := range tt.want {
				if !strings.Contains(j.Problems[i], want) {
					t.Errorf("problem %q, want %q", j.Problems[i], want)
				}
			}
		})
	}
}

// The command asks one Warden, finds the others by itself and shows all.
func TestStatusCommand(t *testing.T) {
	fakes := startQuorum(t)
	one := fakes[idB].addr
	o := runCommand(t, "status", "--server", one)
	o.has(t, exit.Done, "agreed", "up 3/3", fakes[idA].addr, fakes[idC].addr)
	if strings.Contains(o.out, "\x1b") {
		t.Error("colours without a terminal")
	}
	runCommand(t, "status", "mymaster", "--server", one).has(t, exit.Done, "mymaster")
	runCommand(t, "status", "nope", "--server", one).has(t, exit.Refused, "choose one of mymaster")

	var s statusReport
	o = runCommand(t, "status", "--json", "-s", one)
	if err := json.Unmarshal([]byte(o.out), &s); err != nil || !s.Agreed || len(s.Groups) != 1 || len(s.Wardens) != 3 {
		t.Errorf("%v: %s", err, o.out)
	}
	if s.Wardens[0].ID != idB || s.Wardens[1].ID != idA || s.Wardens[2].Groups[0].Topology.Epoch != 3 {
		t.Errorf("wardens: %s", o.out)
	}

	fakes[idC].srv.Close()
	runCommand(t, "status", "-s", one).has(t, exit.Done, "Warden cccccccc at "+fakes[idC].addr+" could not be asked: connect: connection refused", "up 2/2")
	for _, id := range []string{idA, idB} {
		fakes[id].change(func() {
			fakes[id].status.Groups[0].Agreed = false
			fakes[id].status.Groups[0].HeardAgo = 5 * warden.Second
		})
	}
	runCommand(t, "status", "-s", one).has(t, exit.Refused, "NOT FRESH", "heard a majority for 5s")
}

// Text from the network cannot move the cursor of the terminal.
func TestStatusHidesControlCharacters(t *testing.T) {
	reports := threeReports()
	n := &reports[0].Groups[0].Nodes[0]
	n.Down, n.Why = true, "evil \x1b[2J\r\n\u202e"
	if got := render(reports); strings.ContainsAny(got, "\x1b\r\u202e") {
		t.Errorf("%q", got)
	}
}

// On a terminal the verdict is coloured; the columns stay aligned.
func TestStatusColours(t *testing.T) {
	reports := threeReports()
	s := statusReport{Wardens: reports, Groups: []judgement{judge("mymaster", reports)}}
	coloured := (&program{colour: true}).renderStatus(s)
	if !strings.Contains(coloured, "\x1b[32magreed\x1b[0m") {
		t.Errorf("%q", coloured)
	}
	plain := coloured
	for _, code := range []terminal.Tone{terminal.Good, terminal.Warn, terminal.Bad, terminal.Faint, terminal.Bold, "0"} {
		plain = strings.ReplaceAll(plain, "\x1b["+string(code)+"m", "")
	}
	if plain != render(reports) {
		t.Errorf("without its colours:\n%s\nwant\n%s", plain, render(reports))
	}
}

// Wardens that say the same are put together.
func TestExplainCommand(t *testing.T) {
	fakes := startQuorum(t)
	fakes[idC].change(func() { fakes[idC].status.Groups[0].Explain = []string{"I lead.", "Wait."} })
	o := runCommand(t, "explain", "-s", fakes[idA].addr)
	o.has(t, exit.Done)
	const want = "Wardens aaaaaaaa, bbbbbbbb say:\n  All is well.\nWarden cccccccc says:\n  I lead.\n  Wait.\n"
	if o.out != want {
		t.Errorf("got\n%s\nwant\n%s", o.out, want)
	}
	runCommand(t, "explain", "mymaster", "--json", "-s", fakes[idA].addr).has(t, exit.Done, `"explain":["I lead.","Wait."]`)
	runCommand(t, "explain", "nope", "-s", fakes[idA].addr).has(t, exit.Refused, "there is no group")
}

// Watching goes on while Wardens come and go, and ends with ctx.
func TestStatusWatch(t *testing.T) {
	f := startFake(t, idA, healthyView(idA, nil))
	out := &page{}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ended := make(chan int, 1)
	go func() {
		p := &program{out: out, errs: &page{}}
		ended <- p.run(ctx, []string{"spineldb", "status", "--watch", "-s", f.addr})
	}()
	eventually(t, "the first look", func() bool { return strings.Contains(out.String(), "mymaster  primary") })
	f.restart(func() {
		eventually(t, "an error", func() bool { return strings.Contains(out.String(), "no Warden answers") })
	})
	eventually(t, "another look", func() bool { return strings.Count(out.String(), "mymaster  primary") >= 2 })
	cancel()
	select {
	case code := <-ended:
		if code != exit.Done {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("watching did not end")
	}
}
