package spineldb

import (
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// The names of our connections are the only place on a Redis server where a
// leader can leave word for the next one:
//
//	warden-GROUP-EPOCH-ID8         an order session of the Warden ID8
//	warden-GROUP-EPOCH-ID8-watch   a kept connection: the newest accepted epoch
//
// They are read from the right, because group names may contain '-'.
const (
	markPrefix = "warden-"
	watchWord  = "watch"
	shortID    = 8
)

// mark is a connection name taken apart.
type mark struct {
	group warden.GroupName
	epoch warden.Epoch
	id    string // the first 8 digits of the Warden's id
	watch bool   // a kept connection, not an order session
}

func (m mark) String() string {
	s := markPrefix + string(m.group) + "-" + strconv.FormatUint(uint64(m.epoch), 10) + "-" + m.id
	if m.watch {
		s += "-" + watchWord
	}
	return s
}

// markOf names a connection for a claim.
func markOf(c warden.Claim, watch bool) mark {
	return mark{group: c.Group, epoch: c.Epoch, id: c.Warden.Short(), watch: watch}
}

// parseMark reads a connection name. Names that are not ours are not ok.
func parseMark(name string) (m mark, ok bool) {
	rest, found := strings.CutPrefix(name, markPrefix)
	if !found {
		return mark{}, false
	}
	if cut, found := strings.CutSuffix(rest, "-"+watchWord); found {
		rest, m.watch = cut, true
	}
	i := strings.LastIndexByte(rest, '-')
	if i < 0 {
		return mark{}, false
	}
	rest, m.id = rest[:i], rest[i+1:]
	if len(m.id) != shortID || strings.Trim(m.id, "0123456789abcdef") != "" {
		return mark{}, false
	}
	i = strings.LastIndexByte(rest, '-')
	if i < 0 {
		return mark{}, false
	}
	epoch, err := strconv.ParseUint(rest[i+1:], 10, 64)
	if err != nil {
		return mark{}, false
	}
	group, err := warden.ParseGroupName(rest[:i])
	if err != nil {
		return mark{}, false
	}
	m.group, m.epoch = group, warden.Epoch(epoch)
	return m, true
}
