package spineldb

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/warden"
)

// Goal: a server on which every command we use has another name, and SLAVEOF's
// younger name is gone, is watched, greeted and ordered as any other.
func TestRenamedCommands(t *testing.T) {
	names := map[string]string{"REPLICAOF": ""}
	for _, word := range strings.Fields("AUTH CLIENT PING INFO PUBLISH SUBSCRIBE MULTI SLAVEOF CONFIG EXEC SCRIPT ROLE COMMAND FAILOVER") {
		names[word] = "x-" + strings.ToLower(word)
	}
	lines := []string{"requirepass right"}
	for word, name := range names {
		if name == "" {
			name = `""`
		}
		lines = append(lines, "rename-command "+word+" "+name)
	}
	s := startRedis(t, lines...)
	delete(names, "REPLICAOF")
	a := New(Options{Password: "right", Renames: names})
	link, ears := listenOn(t, a, s.Node())
	if o := link.Look(soon(t)); o.Health != warden.HealthGood || o.NoFollow {
		t.Fatalf("look: %+v", o)
	}
	if err := link.Knock(soon(t)); err != nil {
		t.Errorf("knock: %v", err)
	}
	if err := link.Unblock(soon(t)); err != nil {
		t.Errorf("unblock: %v", err)
	}
	long := neighbourHello()
	long.Client = strings.Repeat("a", warden.MaxHello/2) + ":1" // more than one buffer of go-redis
	adaptertest.Await(t, "both hellos are heard", func() bool {
		if err := link.Publish(soon(t), long); err != nil {
			t.Fatalf("publish: %v", err)
		}
		return len(ears.hellos) > 0 && len(ears.neighbours) > 0
	})
	session, res := a.Claim(soon(t), s.Node(), testClaim)
	if res.Outcome != warden.Done {
		t.Fatalf("claim: %+v", res)
	}
	defer session.Close()
	if res := session.Follow(soon(t), warden.Following{Primary: "127.0.0.1:1", Avoid: "f00"}); res.Outcome != warden.Done || len(res.Notes) != 0 {
		t.Errorf("follow: %+v", res)
	}
	if o := session.Look(soon(t)); o.Role != warden.RoleReplica || o.Upstream != "127.0.0.1:1" {
		t.Errorf("after it: %+v", o)
	}
	if res := session.Promote(soon(t), nil); res.Outcome != warden.Done {
		t.Errorf("promote: %+v", res)
	}
	usual := New(Options{Password: "right"}).Open(s.Node(), warden.LinkEvents{})
	defer usual.Close()
	if o := usual.Look(soon(t)); o.Health == warden.HealthGood {
		t.Error("the usual words work too, so this test proves nothing")
	}
}

// Goal: where go-redis has to log in the old way, AUTH's other name is used.
func TestRenamedAuth(t *testing.T) {
	f := startFake(t, func(f *fake, id int, command string) string {
		if command == "LETMEIN right" {
			return "+OK\r\n"
		}
		return script(nil)(f, id, command)
	})
	link := New(Options{Password: "right", Renames: map[string]string{"auth": "letmein"}}).Open(f.node, warden.LinkEvents{})
	defer link.Close()
	if o := link.Look(soon(t)); o.Health != warden.HealthGood || f.count("LETMEIN right") == 0 {
		t.Errorf("look: %+v after %q", o, f.heard)
	}
}

// Goal: the first word of each command is replaced and not a byte else, and
// what is no command is left alone.
func TestRename(t *testing.T) {
	words := map[string]string{"PING": "knock-knock", "AUTH": "a"}
	for in, want := range map[string]string{
		"*1\r\n$4\r\nping\r\n": "*1\r\n$11\r\nknock-knock\r\n",
		"*1\r\n$4\r\nINFO\r\n*2\r\n$4\r\nAuth\r\n$4\r\nPING\r\n": "*1\r\n$4\r\nINFO\r\n*2\r\n$1\r\na\r\n$4\r\nPING\r\n",
		"*2\r\n$4\r\nPING\r\n$8\r\n*1\r\n$4\r\n\r\n":             "*2\r\n$11\r\nknock-knock\r\n$8\r\n*1\r\n$4\r\n\r\n",
		"*1\r\n$4\r\nPING":     "*1\r\n$4\r\nPING",
		"*2\r\n$4\r\nPING\r\n": "*2\r\n$4\r\nPING\r\n",
		"PING\r\n":             "PING\r\n",
		"*1\r\n$-1\r\n":        "*1\r\n$-1\r\n",
		"*0\r\n":               "*0\r\n",
		"":                     "",
	} {
		if got := string(rename([]byte(in), words)); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// Goal: whatever is written, what was renamed once is not renamed again.
func FuzzRename(f *testing.F) {
	f.Add([]byte("*1\r\n$4\r\nPING\r\n"))
	f.Add([]byte("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n*1\r\n$4\r\nPING\r\n"))
	f.Add([]byte("*9223372036854775807\r\n$0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		once := rename(in, map[string]string{"PING": "Q"})
		if again := rename(once, map[string]string{"PING": "Q"}); !bytes.Equal(again, once) {
			t.Fatalf("%q became %q and then %q", in, once, again)
		}
	})
}
