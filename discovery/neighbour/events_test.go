package neighbour_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spineldb/warden/adapters/adaptertest"
	"github.com/spineldb/warden/discovery/neighbour"
	"github.com/spineldb/warden/warden"
)

// Goal: a real Sentinel and a Book that hear the same hellos announce the same
// of the Sentinels in them, in the same words.
func TestAddressEventsLikeSentinel(t *testing.T) {
	at := map[warden.GroupName]warden.NodeID{"a": "127.0.0.1:1", "b": "127.0.0.1:2", "c": "127.0.0.1:3"}
	var lines, ours, theirs []string
	for _, name := range []warden.GroupName{"a", "b", "c"} {
		lines = append(lines, "sentinel monitor "+string(name)+" 127.0.0.1 "+at[name].Port()+" 2")
	}
	sentinel := launchRedis(t, true, lines...)
	book := neighbour.New(neighbour.Options{
		ID: ownID, Clock: clock, Judge: func(warden.GroupName, warden.NodeID) neighbour.Judgement { return neighbour.Judgement{} },
		Primary: func(g warden.GroupName) warden.NodeID { return at[g] },
		Announce: func(e warden.Event) {
			if strings.HasPrefix(e.Name, "+sentinel") {
				ours = append(ours, e.Name+" "+e.Payload)
			}
		},
	})
	for name, node := range at {
		book.Watch(name, neighbour.Memory{Epochs: neighbour.Epochs{Primary: node}})
	}
	sub := sentinel.Client.PSubscribe(t.Context(), "+sentinel*")
	defer sub.Close()
	if _, err := sub.ReceiveTimeout(t.Context(), 10*time.Second); err != nil {
		t.Fatal(err)
	}
	one, other := strings.Repeat("1", 40), strings.Repeat("2", 40)
	for _, hello := range []string{
		"127.0.0.1,4," + one + ",0,a,127.0.0.1,1,0", "127.0.0.1,4," + one + ",0,b,127.0.0.1,2,0", "127.0.0.1,4," + one + ",0,c,127.0.0.1,3,0",
		"127.0.0.1,5," + other + ",0,a,127.0.0.1,1,0",
		"127.0.0.1,6," + one + ",0,b,127.0.0.1,2,0",   // moves: two more entries follow
		"127.0.0.1,6," + one + ",0,a,127.0.0.1,1,0",   // known
		"127.0.0.1,7," + other + ",0,a,127.0.0.1,1,0", // moves: there is no other entry
	} {
		book.Hello(hello)
		if err := sentinel.Client.Publish(t.Context(), "__sentinel__:hello", hello).Err(); err != nil {
			t.Fatal(err)
		}
	}
	const last = "+sentinel-address-switch master a 127.0.0.1 1 ip 127.0.0.1 port 7 for "
	adaptertest.Await(t, "the Sentinel announces the last move", func() bool {
		m, err := sub.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		theirs = append(theirs, m.Channel+" "+m.Payload)
		return strings.HasPrefix(theirs[len(theirs)-1], last)
	})
	if !slices.Equal(ours, theirs) {
		t.Errorf("we announce\n%s\nSentinel announces\n%s", strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
	}
}
