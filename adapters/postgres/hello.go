package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spineldb/warden/warden"
)

// helloChannel is where Wardens introduce themselves to one another.
const helloChannel = "__warden__:hello"

// maxHello bounds a hello, in bytes; NOTIFY itself takes just under 8000.
// Anybody who may log in to the database may publish on the channel.
const maxHello = 4 << 10

const idLength = 40 // hexadecimal digits of a Warden's id

var errHello = errors.New("not a hello")

// helloText is a hello on the wire, with the fields of the Redis protocol's.
type helloText struct {
	Addr          string `json:"addr"`
	RunID         string `json:"run_id"`
	Epoch         uint64 `json:"epoch"`
	MasterName    string `json:"master_name"`
	MasterAddress string `json:"master_addr"`
	Gossip        string `json:"gossip,omitempty"`
	Sentinel      string `json:"sentinel_id,omitempty"`
}

func encodeHello(h warden.Hello) (string, error) {
	text, err := json.Marshal(helloText{
		Addr: h.Client, RunID: string(h.ID), Epoch: uint64(h.Epoch), MasterName: string(h.Group),
		MasterAddress: string(h.Primary), Gossip: h.Gossip, Sentinel: h.Sentinel,
	})
	if err != nil {
		return "", fmt.Errorf("encode hello: %w", err)
	}
	if len(text) > maxHello {
		return "", fmt.Errorf("encode hello: %d bytes are more than the %d allowed: shorten the announced addresses", len(text), maxHello)
	}
	return string(text), nil
}

// parseHello reads a hello. Whatever does not make sense is an error and is
// ignored: the channel is open to everybody who may use the database.
func parseHello(text string) (warden.Hello, error) {
	var t helloText
	if len(text) > maxHello || json.Unmarshal([]byte(text), &t) != nil {
		return warden.Hello{}, errHello
	}
	if !isID(t.RunID) || t.Sentinel != "" && !isID(t.Sentinel) {
		return warden.Hello{}, errHello
	}
	group, err := warden.ParseGroupName(t.MasterName)
	if err != nil {
		return warden.Hello{}, errHello
	}
	h := warden.Hello{ID: warden.WardenID(t.RunID), Epoch: warden.Epoch(t.Epoch), Group: group, Sentinel: t.Sentinel}
	for _, f := range []struct {
		text string
		into *string
	}{{t.Addr, &h.Client}, {t.Gossip, &h.Gossip}, {t.MasterAddress, (*string)(&h.Primary)}} {
		if f.text == "" {
			continue
		}
		node, err := warden.ParseNode(f.text)
		if err != nil || strings.ContainsFunc(f.text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return warden.Hello{}, errHello
		}
		*f.into = string(node)
	}
	if h.Client == "" && h.Gossip == "" {
		return warden.Hello{}, errHello
	}
	return h, nil
}

func isID(s string) bool {
	return len(s) == idLength && strings.Trim(s, "0123456789abcdef") == ""
}
