package warden

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// HelloChannel is where Wardens introduce themselves to one another.
const HelloChannel = "__warden__:hello"

// MaxHello bounds a hello, in bytes. Anybody may publish on the channel.
// PostgreSQL's NOTIFY takes just under 8000.
const MaxHello = 4 << 10

// idLength is the length of a Warden's id in hexadecimal digits.
const idLength = 40

var errHello = errors.New("not a hello")

// helloText is a hello on the wire. The first five fields, in this order, are
// those of SpinelDB's own Warden; what follows is ours and may be missing.
type helloText struct {
	Addr          string `json:"addr"`
	RunID         string `json:"run_id"`
	Epoch         uint64 `json:"epoch"`
	MasterName    string `json:"master_name"`
	MasterAddress string `json:"master_addr"`
	Gossip        string `json:"gossip,omitempty"`
	Sentinel      string `json:"sentinel_id,omitempty"`
}

// EncodeHello is a hello as it is published on HelloChannel. Neighbour is not in
// it: that goes elsewhere.
func EncodeHello(h Hello) (string, error) {
	text, err := json.Marshal(helloText{
		Addr:          h.Client,
		RunID:         string(h.ID),
		Epoch:         uint64(h.Epoch),
		MasterName:    string(h.Group),
		MasterAddress: string(h.Primary),
		Gossip:        h.Gossip,
		Sentinel:      h.Sentinel,
	})
	if err != nil {
		return "", fmt.Errorf("encode hello: %w", err)
	}
	if len(text) > MaxHello {
		return "", fmt.Errorf("encode hello: %d bytes are more than the %d allowed: shorten the announced addresses", len(text), MaxHello)
	}
	return string(text), nil
}

// ParseHello reads a hello. Whatever does not make sense is an error and is
// ignored: the channel is open to everybody who may use the server.
func ParseHello(text string) (Hello, error) {
	if len(text) > MaxHello {
		return Hello{}, errHello
	}
	var t helloText
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return Hello{}, errHello
	}
	h := Hello{ID: WardenID(t.RunID), Epoch: Epoch(t.Epoch), Sentinel: t.Sentinel}
	if !isID(t.RunID) || t.Sentinel != "" && !isID(t.Sentinel) {
		return Hello{}, errHello
	}
	group, err := ParseGroupName(t.MasterName)
	if err != nil {
		return Hello{}, errHello
	}
	h.Group = group
	for _, f := range []struct {
		text string
		into *string
	}{{t.Addr, &h.Client}, {t.Gossip, &h.Gossip}, {t.MasterAddress, (*string)(&h.Primary)}} {
		if f.text == "" {
			continue
		}
		node, err := ParseNode(f.text)
		if err != nil || strings.ContainsFunc(f.text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return Hello{}, errHello
		}
		*f.into = string(node)
	}
	if h.Client == "" && h.Gossip == "" {
		return Hello{}, errHello
	}
	return h, nil
}

func isID(s string) bool {
	return len(s) == idLength && strings.Trim(s, "0123456789abcdef") == ""
}
