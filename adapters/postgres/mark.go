package postgres

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// Sessions of Wardens bear names, so that leaders find one another's:
//
//	warden-GROUP-EPOCH-ID8-order   the claimed session of the Warden ID8
//	warden-GROUP-EPOCH-ID8-watch   a kept connection: the newest accepted epoch
//	warden-GROUP-EPOCH-ID8-hold    ends a hold by itself (see hold.go)
//
// application_name holds 63 bytes, so the name of a long group is shortened to
// its beginning and a checksum. They are read from the right.
const (
	markPrefix = "warden-"
	markOrder  = "order"
	markWatch  = "watch"
	markHold   = "hold"
	shortGroup = 20
	shortID    = 8
)

type mark struct {
	group string // shortened
	epoch warden.Epoch
	id    string
	kind  string
}

func (m mark) String() string {
	return markPrefix + m.group + "-" + strconv.FormatUint(uint64(m.epoch), 10) + "-" + m.id + "-" + m.kind
}

func markOf(c warden.Claim, kind string) mark {
	return mark{group: shorten(c.Group), epoch: c.Epoch, id: c.Warden.Short(), kind: kind}
}

// shorten gives a group's name in at most shortGroup bytes; '~' is in no name.
func shorten(g warden.GroupName) string {
	if len(g) <= shortGroup {
		return string(g)
	}
	sum := fnv.New32a()
	sum.Write([]byte(g))
	return fmt.Sprintf("%s~%08x", g[:shortGroup-9], sum.Sum32())
}

// parseMark reads an application_name. Names that are not ours are not ok.
func parseMark(name string) (m mark, ok bool) {
	rest, found := strings.CutPrefix(name, markPrefix)
	if !found {
		return mark{}, false
	}
	fields := make([]string, 3) // kind, id, epoch
	for i := range fields {
		at := strings.LastIndexByte(rest, '-')
		if at < 1 {
			return mark{}, false
		}
		rest, fields[i] = rest[:at], rest[at+1:]
	}
	epoch, err := strconv.ParseUint(fields[2], 10, 64)
	known := fields[0] == markOrder || fields[0] == markWatch || fields[0] == markHold
	if err != nil || !known || len(fields[1]) != shortID || strings.Trim(fields[1], "0123456789abcdef") != "" {
		return mark{}, false
	}
	return mark{group: rest, epoch: warden.Epoch(epoch), id: fields[1], kind: fields[0]}, true
}

// lockKey is the advisory lock of a group's order sessions.
func lockKey(g warden.GroupName) int64 {
	sum := fnv.New64a()
	sum.Write([]byte("warden:" + string(g)))
	return int64(sum.Sum64())
}

// The lasting mark is the setting warden.epoch in the file that ALTER SYSTEM
// writes: "EPOCH GROUP". A number alone counts for any group.

func epochText(c warden.Claim) string {
	return strconv.FormatUint(uint64(c.Epoch), 10) + " " + string(c.Group)
}

// parseEpoch reads the mark; ok only if it is there and is of the group.
func parseEpoch(text string, g warden.GroupName) (warden.Epoch, bool) {
	number, group, named := strings.Cut(strings.TrimSpace(text), " ")
	epoch, err := strconv.ParseUint(number, 10, 64)
	if err != nil || named && group != string(g) {
		return 0, false
	}
	return warden.Epoch(epoch), true
}
