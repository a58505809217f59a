package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/warden"
)

// reportingQuorum is a quorum of which two Wardens have a report each.
func reportingQuorum(t *testing.T) map[string]*fakeWarden {
	t.Helper()
	fakes := startQuorum(t)
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local).UnixMilli()
	fakes[idA].reports = []warden.Report{{
		ID: "7-aaaaaaaa", Group: "mymaster", Warden: idA, UnixMS: at, Took: 1200 * warden.Millisecond, Reason: warden.ReasonFailover, Verdict: warden.VerdictDone,
		Times: 1, Old: "10.0.0.1:6379", New: "10.0.0.2:6379", Cause: "silent for 1.001s", Epoch: 7, Lacks: 14,
		Wardens: []warden.ReportWarden{{Warden: idA, Down: true, Vote: "granted", Accepted: true, StillDown: true}, {Warden: idB, Hard: true, Down: true, Vote: "granted"}},
		Nodes:   []warden.ReportNode{{Round: 1, Node: "10.0.0.2:6379", Health: warden.HealthGood, Position: 100, Chosen: true, Why: "chosen at position 100, priority 100"}},
		Stages:  []warden.ReportStage{{Name: "down", Took: warden.Second}, {Name: "voting", At: warden.Second, Took: 3 * warden.Millisecond}},
		Orders:  []warden.ReportOrder{{Kind: warden.ActPromote, Node: "10.0.0.2:6379", At: warden.Second, Took: 8 * warden.Millisecond, Outcome: warden.Done}},
	}}
	fakes[idB].reports = []warden.Report{{
		ID: "r2.1-bbbbbbbb", Group: "mymaster", Warden: idB, UnixMS: at - 5000, Took: 5 * warden.Second, Reason: warden.ReasonFailover, Verdict: warden.VerdictRefused,
		Code: "paused", Text: "the group is paused: resume it", Times: 3, Old: "10.0.0.1:6379", Lacks: -1,
	}}
	return fakes
}

// Goal: the reports of all Wardens are one list, in the order of their time.
func TestReportsOfAllWardens(t *testing.T) {
	fakes := reportingQuorum(t)
	o := runCommand(t, "reports", "-s", fakes[idC].addr)
	const want = `  BEGAN                    ID             WHAT      FROM           TO             TOOK    END
  2026-11-22 11:59:55.000  r2.1-bbbbbbbb  failover  10.0.0.1:6379  -              5s      refused: paused (3 times)
  2026-11-22 12:00:00.000  7-aaaaaaaa     failover  10.0.0.1:6379  10.0.0.2:6379  1.200s  done, lacks 14 bytes
`
	if o.code != exit.Done || o.out != want {
		t.Errorf("exit code %d:\n%s%s\nwant\n%s", o.code, o.out, o.errs, want)
	}
	if got := runCommand(t, "reports", "mymaster", "-n", "1", "-s", fakes[idC].addr).out; strings.Contains(got, "r2.1") || !strings.Contains(got, "7-aaaaaaaa") {
		t.Errorf("the last one: %s", got)
	}
	var list struct{ Reports []warden.Report }
	if err := json.Unmarshal([]byte(runCommand(t, "reports", "--json", "-s", fakes[idC].addr).out), &list); err != nil || len(list.Reports) != 2 || list.Reports[0].Code != "paused" {
		t.Errorf("%v %+v", err, list)
	}
	runCommand(t, "reports", "-n", "0", "-s", fakes[idC].addr).has(t, exit.Usage, "from 1 on")
	runCommand(t, "reports", "a", "b", "c", "-s", fakes[idC].addr).has(t, exit.Usage, "[GROUP] [ID]")
	runCommand(t, "reports", "nope", "-s", fakes[idC].addr).has(t, exit.Refused, "there is no group")
}

// Goal: one report is told in words whichever Warden has it, with or without the
// group, and explain ends with the last one.
func TestOneReport(t *testing.T) {
	fakes := reportingQuorum(t)
	const want = `Report 7-aaaaaaaa: failover of 10.0.0.1:6379: done after 1.200s, 10.0.0.2:6379 is the primary.
  Began at 2026-11-22 12:00:00.000.
  Warden aaaaaaaa found 10.0.0.1:6379 down: silent for 1.001s.
  Warden aaaaaaaa: finds it down by its silence; vote: granted; accepted the decision and still found it down.
  Warden bbbbbbbb: finds it down by more than silence; vote: granted.
  10.0.0.2:6379 at position 100: chosen at position 100, priority 100.
  Stages: down 1s, voting 3ms.
  At 1s: promote 10.0.0.2:6379, done after 8ms.
  10.0.0.2:6379 lacks 14 bytes of what 10.0.0.1:6379 was last seen to have; what that took later is lost.
`
	for _, args := range [][]string{{"reports", "7-aaaaaaaa"}, {"reports", "mymaster", "7-aaaaaaaa"}} {
		if o := runCommand(t, append(args, "-s", fakes[idC].addr)...); o.code != exit.Done || o.out != want || o.errs != "" {
			t.Errorf("%q: exit code %d:\n%s%s\nwant\n%s", args, o.code, o.out, o.errs, want)
		}
	}
	if got := runCommand(t, "explain", "-s", fakes[idC].addr).out; !strings.HasSuffix(got, want) {
		t.Errorf("explain:\n%s", got)
	}
	var r warden.Report
	if err := json.Unmarshal([]byte(runCommand(t, "reports", "r2.1-bbbbbbbb", "--json", "-s", fakes[idC].addr).out), &r); err != nil || r.Code != "paused" {
		t.Errorf("%v %+v", err, r)
	}
	runCommand(t, "reports", "mymaster", "8-aaaaaaaa", "-s", fakes[idC].addr).has(t, exit.Refused, "no Warden that answers has a report")
}

// Goal: a group without reports says so, and a Warden that does not answer is named.
func TestNoReportsYet(t *testing.T) {
	fakes := startQuorum(t)
	runCommand(t, "reports", "-s", fakes[idA].addr).has(t, exit.Done, "no Warden that answers has a report of mymaster")
	fakes[idB].srv.Close()
	if o := runCommand(t, "reports", "-s", fakes[idA].addr); o.code != exit.Done || !strings.Contains(o.errs, "bbbbbbbb") {
		t.Errorf("%+v", o)
	}
}
