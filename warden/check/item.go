package check

import (
	"reflect"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// itemKind says what is on its way.
type itemKind uint8

const (
	isMessage itemKind = iota // from one Warden to another
	isOrder                   // from a Warden to a node
	isAnswer                  // of an order, back to the Warden
)

// item is one thing on its way.
type item struct {
	kind     itemKind
	from, to int8 // Wardens; an order has no to
	message  warden.Message
	// run is that of the Warden which gave the order.
	run    warden.Run
	action warden.Action
	// over is the session an order travels on; its serial is 0 if the node has
	// to be claimed first.
	over   claim
	answer group.ActionDone
	// opened is the session that the answered order opened.
	opened claim
	// lost: the session ended under the order.
	lost bool
}

// message makes what is on its way of a message, nil if the model does not
// carry its kind. Statuses are inputs here: what everybody sees is said by the
// scope. Renewals and releases of a lease only change how long somebody waits.
func messageItem(from int8, e *group.Envelope) *item {
	m := e.Message
	to := wardenIndex(e.To)
	if to < 0 || m.Status != nil || m.Renew != nil || m.Renewed != nil {
		return nil
	}
	switch {
	case m.Vote != nil: // the words are for people
		v := *m.Vote
		v.Why = ""
		m.Vote = &v
	case m.Accept != nil:
		a := *m.Accept
		a.Why = ""
		m.Accept = &a
	}
	return &item{kind: isMessage, from: from, to: to, message: m}
}

func (e *engine) putItem(x *item) uint32 {
	return e.items.put(printOf(encode(nil, reflect.ValueOf(x).Elem())), x)
}
