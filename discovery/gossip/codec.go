package gossip

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Bounds of what is sent and taken, in bytes and pieces.
const (
	maxEnvelope = 1 << 20   // larger ones are not read
	maxMessage  = 768 << 10 // larger messages are not sent
	maxBatch    = 256 << 10 // an envelope is closed when it has this much
	maxMessages = 512       // in one envelope
	maxAddress  = 300       // host:port
	maxTwins    = 4
)

// preamble begins every envelope. What follows the major version and the
// sender is only looked at if the major version is known.
//
//	warden/1 0123...cdef\n{json}
const preamble = "warden/"

// Envelope is what travels: who speaks, and messages about any groups.
type Envelope struct {
	// From is the sender. It stands in the first line, not in the JSON.
	From warden.WardenID `json:"-"`
	// Life is drawn by each process; Number counts its envelopes.
	Life   string `json:"life"`
	Number uint64 `json:"number"`
	// To is who is meant, empty in a greeting to an address. Addresses are
	// used again; a vote request must not reach somebody else.
	To warden.WardenID `json:"to,omitempty"`
	// Gossip and Client are the sender's addresses, host:port.
	Gossip string `json:"gossip"`
	Client string `json:"client,omitempty"`
	// Dialed is the address a greeting was sent to: a Warden that hears its
	// own greeting learns one of its own addresses.
	Dialed string `json:"dialed,omitempty"`
	// Ask wants a greeting back.
	Ask bool `json:"ask,omitempty"`
	// Twins are addresses from which the receiver's id was heard.
	Twins    []string          `json:"twins,omitempty"`
	Messages []json.RawMessage `json:"messages,omitempty"`
}

// newerFormat is a sender that speaks a newer major version.
type newerFormat struct {
	From  warden.WardenID
	Major int
}

func (n newerFormat) Error() string {
	return fmt.Sprintf("warden %s speaks format %d, this one up to %d: upgrade this Warden", n.From.Short(), n.Major, warden.FormatMajor)
}

// encode makes the bytes of an envelope.
func encode(e Envelope) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode envelope: %w", err)
	}
	head := fmt.Sprintf("%s%d %s\n", preamble, warden.FormatMajor, e.From)
	if len(head)+len(body) > maxEnvelope {
		return nil, fmt.Errorf("encode envelope: %d bytes, at most %d are read", len(head)+len(body), maxEnvelope)
	}
	return append([]byte(head), body...), nil
}

// decode reads an envelope and its messages. Messages that are malformed, of
// an unknown kind or of another sender are left out and counted; the others
// stand. Nothing in the results points into raw. A newer major version is a
// newerFormat error.
func decode(raw []byte) (e Envelope, messages []warden.Message, left int, err error) {
	if len(raw) > maxEnvelope {
		return Envelope{}, nil, 0, fmt.Errorf("decode envelope: %d bytes, at most %d are read", len(raw), maxEnvelope)
	}
	major, from, body, err := split(raw)
	if err != nil {
		return Envelope{}, nil, 0, fmt.Errorf("decode envelope: %w", err)
	}
	if major > warden.FormatMajor {
		return Envelope{}, nil, 0, newerFormat{From: from, Major: major}
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return Envelope{}, nil, 0, fmt.Errorf("decode envelope of %s: %w", from.Short(), err)
	}
	e.From = from
	if err := e.check(); err != nil {
		return Envelope{}, nil, 0, fmt.Errorf("decode envelope of %s: %w", from.Short(), err)
	}
	for _, text := range e.Messages {
		var m warden.Message
		if json.Unmarshal(text, &m) != nil || checkMessage(m, from) != nil {
			left++
			continue
		}
		messages = append(messages, m)
	}
	e.Messages = nil
	return e, messages, left, nil
}

// split takes the first line apart.
func split(raw []byte) (major int, from warden.WardenID, body []byte, err error) {
	line, body, ok := bytes.Cut(raw, []byte("\n"))
	if !ok || len(line) > 128 || !bytes.HasPrefix(line, []byte(preamble)) {
		return 0, "", nil, errors.New("it does not begin like one")
	}
	number, id, _ := strings.Cut(string(line[len(preamble):]), " ")
	major, err = strconv.Atoi(number)
	if err != nil || major < 1 || major > 1<<20 {
		return 0, "", nil, fmt.Errorf("format %.20q is not a number", number)
	}
	if !validID(warden.WardenID(id)) {
		return 0, "", nil, errors.New("the sender's id is not 40 hexadecimal digits")
	}
	return major, warden.WardenID(id), body, nil
}

func (e Envelope) check() error {
	switch {
	case e.Life == "" || len(e.Life) > 64:
		return errors.New("no life, or too long a one")
	case e.To != "" && !validID(e.To):
		return errors.New("the addressee's id is not 40 hexadecimal digits")
	case !validAddress(e.Gossip):
		return errors.New("the sender's gossip address is not host:port")
	case e.Client != "" && !validAddress(e.Client):
		return errors.New("the sender's client address is not host:port")
	case len(e.Messages) > maxMessages:
		return fmt.Errorf("%d messages, at most %d are read", len(e.Messages), maxMessages)
	case len(e.Twins) > maxTwins || len(e.Dialed) > maxAddress:
		return errors.New("too many or too long addresses")
	}
	for _, twin := range e.Twins {
		if !validAddress(twin) {
			return errors.New("a twin's address is not host:port")
		}
	}
	return nil
}

// checkMessage refuses what no sender of our version would send.
func checkMessage(m warden.Message, from warden.WardenID) error {
	if m.From != from {
		return errors.New("it is of another sender than its envelope")
	}
	if _, err := warden.ParseGroupName(string(m.Group)); err != nil {
		return err
	}
	bodies := 0
	for _, set := range []bool{
		m.Status != nil, m.Ask != nil, m.Vote != nil, m.Propose != nil,
		m.Accept != nil, m.Learn != nil, m.Renew != nil, m.Renewed != nil,
	} {
		if set {
			bodies++
		}
	}
	if bodies != 1 {
		return fmt.Errorf("it has %d bodies instead of one", bodies)
	}
	return nil
}

// validID reports whether id has the form of a Warden's identity.
func validID(id warden.WardenID) bool {
	return len(id) == 40 && strings.Trim(string(id), "0123456789abcdef") == ""
}

// validAddress reports whether s is host:port in bounds.
func validAddress(s string) bool {
	if len(s) > maxAddress {
		return false
	}
	_, err := warden.ParseNode(s)
	return err == nil
}

// card is a Warden's entry in another's book as it travels with memberlist:
// in the metadata of a node (at most 512 bytes) and in push/pull.
type card struct {
	ID     warden.WardenID `json:"id,omitempty"`
	Gossip string          `json:"gossip,omitempty"`
	Client string          `json:"client,omitempty"`
}

const (
	maxCards     = 256
	maxCardBytes = 256 << 10
)

// encodeCards makes the address book for push/pull.
func encodeCards(peers []Peer) []byte {
	cards := make([]card, 0, min(len(peers), maxCards))
	for _, p := range peers[:min(len(peers), maxCards)] {
		cards = append(cards, card{ID: p.ID, Gossip: p.Gossip, Client: p.Client})
	}
	raw, err := json.Marshal(cards)
	if err != nil || len(raw) > maxCardBytes {
		return nil
	}
	return raw
}

// decodeCards reads an address book; what makes no sense is left out.
func decodeCards(raw []byte) []card {
	var cards []card
	if len(raw) > maxCardBytes || json.Unmarshal(raw, &cards) != nil || len(cards) > maxCards {
		return nil
	}
	good := cards[:0]
	for _, c := range cards {
		if validID(c.ID) && validAddress(c.Gossip) && (c.Client == "" || validAddress(c.Client)) {
			good = append(good, c)
		}
	}
	return good
}
