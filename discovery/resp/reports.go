package resp

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// defaultReports is how many reports are shown when no count is given.
const defaultReports = 10

// ReportList answers WARDEN REPORTS, the oldest first.
type ReportList struct {
	Group   warden.GroupName `json:"group"`
	Reports []warden.Report  `json:"reports"`
}

// showReports answers with the newest reports of a group, or with the one of an ID.
func showReports(c *call) {
	rest := c.words[3:]
	if len(rest) > 1 {
		c.wrongArity()
		return
	}
	group := warden.GroupName(c.words[2])
	if _, known := c.server.dir.Primary(group); !known {
		c.noGroup(c.words[2])
		return
	}
	if c.server.options.Reports == nil {
		c.fail("ERR this Warden keeps no reports")
		return
	}
	id, count := "", defaultReports
	if len(rest) == 1 && strings.Contains(rest[0], "-") {
		id = rest[0]
	} else if len(rest) == 1 {
		n, err := strconv.Atoi(rest[0])
		if err != nil || n < 1 {
			c.fail("ERR '%s' is neither a count from 1 on nor the ID of a report", clip(rest[0], 128))
			return
		}
		count = n
	}
	all, err := c.server.options.Reports(group)
	if err != nil {
		c.fail("ERR %s", err)
		return
	}
	if id == "" {
		all = all[max(0, len(all)-count):]
	} else if all = slices.DeleteFunc(all, func(r warden.Report) bool { return r.ID != id }); len(all) == 0 {
		c.fail("ERR no report '%s' of group '%s' here: another Warden may have it", clip(id, 128), group)
		return
	}
	if all == nil {
		all = []warden.Report{}
	}
	c.json(ReportList{group, all})
}
