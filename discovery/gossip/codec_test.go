package gossip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/spineldb/warden/warden"
)

func testID(i int) warden.WardenID { return warden.WardenID(fmt.Sprintf("%040x", i)) }

func message(from int, group warden.GroupName) warden.Message {
	return warden.Message{
		Group: group, From: testID(from), Run: 3, Birth: "b",
		Vote: &warden.Vote{Epoch: 4, Granted: true, Newest: warden.Topology{
			Group: group, Birth: "b", Phase: warden.PhaseDone, Primary: "10.0.0.1:6379",
			Wardens: []warden.WardenID{testID(1), testID(2), testID(3)},
		}},
	}
}

func pack(t testing.TB, from int, messages ...warden.Message) []byte {
	t.Helper()
	e := Envelope{From: testID(from), Life: "l", Number: 1, To: testID(2), Gossip: "10.0.0.1:7946", Client: "10.0.0.1:26379"}
	for _, m := range messages {
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		e.Messages = append(e.Messages, raw)
	}
	raw, err := encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestEnvelopeRoundTrip(t *testing.T) {
	raw := pack(t, 1, message(1, "g1"), message(1, "g2"))
	e, messages, left, err := decode(raw)
	if err != nil || left != 0 || len(messages) != 2 {
		t.Fatalf("%v, %d left out, %d messages", err, left, len(messages))
	}
	if e.From != testID(1) || e.To != testID(2) || e.Gossip != "10.0.0.1:7946" || e.Life != "l" {
		t.Errorf("envelope %+v", e)
	}
	if !reflect.DeepEqual(messages[1], message(1, "g2")) {
		t.Errorf("message %+v", messages[1])
	}
	// Whoever reads the wire uses its buffer again.
	for i := range raw {
		raw[i] = 'x'
	}
	if !reflect.DeepEqual(messages[0], message(1, "g1")) || e.From != testID(1) {
		t.Error("the message points into the buffer")
	}
}

// Messages that do not count are left out, the others stand.
func TestMessagesLeftOut(t *testing.T) {
	foreign := message(3, "g")
	nameless := message(1, "no blanks, please")
	double := message(1, "g")
	double.Renew = &warden.Renew{}
	empty := warden.Message{Group: "g", From: testID(1)}
	_, messages, left, err := decode(pack(t, 1, foreign, nameless, message(1, "good"), double, empty))
	if err != nil || left != 4 || len(messages) != 1 || messages[0].Group != "good" {
		t.Errorf("%v, %d left out, %+v", err, left, messages)
	}
}

// A newer minor version adds fields and kinds, which are ignored; a newer
// major version is refused, whatever follows.
func TestVersions(t *testing.T) {
	raw := pack(t, 1, message(1, "g"))
	raw = bytes.Replace(raw, []byte(`{"life"`), []byte(`{"novelty":{"a":[1]},"life"`), 1)
	raw = bytes.Replace(raw, []byte(`"vote":{`), []byte(`"later":7,"vote":{"mood":"good",`), 1)
	raw = bytes.Replace(raw, []byte(`"messages":[`), fmt.Appendf(nil, `"messages":[{"group":"g","from":"%s","novelty":{}},`, testID(1)), 1)
	_, messages, left, err := decode(raw)
	if err != nil || left != 1 || len(messages) != 1 || !messages[0].Vote.Granted {
		t.Errorf("newer minor version: %v, %d left out, %+v", err, left, messages)
	}
	_, _, _, err = decode(fmt.Appendf(nil, "warden/%d %s\n\x00anything", warden.FormatMajor+1, testID(1)))
	var newer newerFormat
	if !errors.As(err, &newer) || newer.Major != warden.FormatMajor+1 || newer.From != testID(1) {
		t.Errorf("newer major version: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := string(pack(t, 1))
	for name, raw := range map[string]string{
		"empty":          "",
		"no line":        "warden/1 " + string(testID(1)),
		"other protocol": "GET / HTTP/1.1\n{}",
		"zero":           strings.Replace(good, "warden/1", "warden/0", 1),
		"negative":       strings.Replace(good, "warden/1", "warden/-1", 1),
		"huge":           strings.Replace(good, "warden/1", "warden/99999999999999999999", 1),
		"short id":       strings.Replace(good, string(testID(1)), "1", 1),
		"not json":       good[:len(good)-1],
		"no life":        strings.Replace(good, `"life":"l"`, `"life":""`, 1),
		"no address":     strings.Replace(good, `"gossip":"10.0.0.1:7946"`, `"gossip":""`, 1),
		"bad client":     strings.Replace(good, `10.0.0.1:26379`, `10.0.0.1`, 1),
		"bad addressee":  strings.Replace(good, `"to":"0`, `"to":"x`, 1),
		"too large":      good + strings.Repeat(" ", maxEnvelope),
	} {
		if e, messages, _, err := decode([]byte(raw)); err == nil || len(messages) > 0 {
			t.Errorf("%s: accepted as %+v", name, e)
		}
	}
	if _, err := encode(Envelope{From: testID(1), Twins: []string{strings.Repeat("x", maxEnvelope)}}); err == nil {
		t.Error("encoded more than is read")
	}
}

func TestCards(t *testing.T) {
	var peers []Peer
	for i := range maxCards + 5 {
		peers = append(peers, Peer{ID: testID(i), Gossip: fmt.Sprintf("10.0.%d.%d:7946", i/256, i%256), Client: "h:1"})
	}
	if got := decodeCards(encodeCards(peers)); len(got) != maxCards || got[3].Gossip != peers[3].Gossip {
		t.Errorf("%d cards", len(got))
	}
	for _, raw := range []string{"", "garbage", "{}", `[{"id":"x","gossip":"a:1"}]`, `[{"id":"` + string(testID(1)) + `","gossip":"nowhere"}]`} {
		if got := decodeCards([]byte(raw)); len(got) != 0 {
			t.Errorf("%q: %+v", raw, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(pack(f, 1, message(1, "g")))
	f.Add(pack(f, 1))
	f.Add([]byte("warden/2 " + string(testID(1)) + "\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, messages, _, err := decode(raw)
		decodeCards(raw)
		if err != nil {
			if len(messages) > 0 {
				t.Fatal("messages of a refused envelope")
			}
			return
		}
		if !validID(e.From) || !validAddress(e.Gossip) {
			t.Fatalf("accepted %+v", e)
		}
		for _, m := range messages {
			if m.From != e.From || m.Kind() == "empty" {
				t.Fatalf("accepted %+v", m)
			}
		}
		again, err := encode(e)
		if err != nil && len(raw) < maxEnvelope/2 {
			t.Fatalf("does not encode again: %v", err)
		}
		if err == nil {
			if _, _, _, err := decode(again); err != nil {
				t.Fatalf("does not decode again: %v", err)
			}
		}
	})
}
