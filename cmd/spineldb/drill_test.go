package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/warden"
)

func sampleDrill() warden.Drill {
	return warden.Drill{
		Group: "mymaster", Primary: "10.0.0.1:6379", Possible: true, Voters: 3, Listed: 3, Majority: 2, Quorum: 2, Leader: idB, Turn: 40 * warden.Millisecond,
		Candidate: "10.0.0.2:6379", Lacks: 14, Crash: warden.Second, Silence: 5 * warden.Second, FailoverTimeout: 3 * warden.Minute,
		Nodes: []warden.DrillNode{{Node: "10.0.0.1:6379", Why: "it is the primary to be replaced"}, {Node: "10.0.0.2:6379", Chosen: true, Why: "chosen at position 100, priority 100"}},
	}
}

// answersDrill is a Warden that answers WARDEN DRILL.
func answersDrill(t *testing.T, d warden.Drill) *fakeWarden {
	t.Helper()
	f := startFake(t, idA, healthyView(idA, map[string]string{}))
	text, err := json.Marshal(warden.Answer{Verdict: warden.VerdictDone, Drill: &d})
	if err != nil {
		t.Fatal(err)
	}
	f.answer = string(text)
	return f
}

// Goal: what people read of a drill that ends well, to the letter.
func TestDrillForPeople(t *testing.T) {
	f := answersDrill(t, sampleDrill())
	o := runCommand(t, "drill", "--server", f.addr)
	const want = `mymaster: if 10.0.0.1:6379 died now, as Warden aaaaaaaa sees it: a failover would happen
  noticed   after 1s if its process ends, after 5s if its host falls silent, from its last answer
  votes     3 of 3 Wardens could vote; a majority is 2, the quorum 2
  leader    bbbbbbbb has the first turn, after 40ms; another one if it is not quick enough
  promoted  10.0.0.2:6379, which lacks 14 bytes of what the primary was last seen to have; newer writes would be lost too
  time      usually well under a second after it was noticed, at most 3m (failover_timeout)

  NODE           WHY
  10.0.0.1:6379  it is the primary to be replaced
  10.0.0.2:6379  chosen at position 100, priority 100
`
	if o.code != exit.Done || o.out != want {
		t.Errorf("exit code %d:\n%s%s\nwant\n%s", o.code, o.out, o.errs, want)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if asked := strings.Join(f.asked, "; "); asked != "STATUS; DRILL mymaster" {
		t.Errorf("asked %q", asked)
	}
}

// Goal: a failover that would not happen is an exit code for scripts, with what
// stands in its way; JSON has all of it.
func TestDrillThatFails(t *testing.T) {
	d := sampleDrill()
	d.Possible, d.Candidate, d.Lacks, d.Obstacles = false, "", -1, []string{"the group is paused: nothing would be done before it is resumed"}
	d.Notes = []string{"failover_cooldown would hold it back for another 4s"}
	f := answersDrill(t, d)
	runCommand(t, "drill", "mymaster", "--server", f.addr).has(t, exit.Refused, "NO failover would happen", "! the group is paused", "- failover_cooldown")
	o := runCommand(t, "drill", "--json", "--server", f.addr)
	var got struct {
		Warden warden.WardenID
		warden.Drill
	}
	if err := json.Unmarshal([]byte(o.out), &got); err != nil || o.code != exit.Refused || got.Warden != idA || got.Group != "mymaster" || len(got.Obstacles) != 1 || got.Possible {
		t.Errorf("exit code %d, %v: %s", o.code, err, o.out)
	}
	d.Candidate = "10.0.0.2:6379"
	o = runCommand(t, "drill", "--server", answersDrill(t, d).addr)
	o.has(t, exit.Refused, "the best  10.0.0.2:6379, what would be lost is not known, if nothing stood in the way")
	if strings.Contains(o.out, "leader ") || strings.Contains(o.out, "promoted ") {
		t.Errorf("what would not happen is told as if it did:\n%s", o.out)
	}
	kept := sampleDrill()
	kept.Keeps = true
	runCommand(t, "drill", "--server", answersDrill(t, kept).addr).has(t, exit.Done, "nothing that was acknowledged would be lost")
}

// Goal: a Warden that knows no drills, or says nothing, is no good news.
func TestDrillWithoutAnAnswer(t *testing.T) {
	f := startFake(t, idA, healthyView(idA, map[string]string{}))
	f.answer = "-ERR unknown subcommand 'DRILL'"
	runCommand(t, "drill", "--server", f.addr).has(t, exit.Refused, "unknown subcommand")
	f.answer = `{"verdict":"refused","text":"this Warden stops"}`
	runCommand(t, "drill", "--server", f.addr).has(t, exit.Refused, "this Warden stops")
	f.answer = ""
	runCommand(t, "drill", "--server", f.addr).has(t, exit.Unreachable)
}
