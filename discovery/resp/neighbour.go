package resp

import (
	"strings"

	"github.com/spineldb/warden/warden"
)

// helloChannel is where real Sentinels introduce themselves to one another.
const helloChannel = "__sentinel__:hello"

// publish takes what Sentinels tell each other directly, and nothing else.
func publish(c *call) {
	if c.words[1] != helloChannel {
		c.fail("ERR Only HELLO messages are accepted by Sentinel instances.")
		return
	}
	if n := c.server.options.Neighbours; n != nil {
		n.Hello(c.words[2])
	}
	c.number(1)
}

// primaryDown answers what Sentinels ask each other: is the primary at this
// address down, and will you vote for me? Whom it concerns is found by the
// address, for the question knows no names.
func primaryDown(c *call) {
	port, okPort := parseInt(c.words[3])
	epoch, okEpoch := parseInt(c.words[4])
	if !okPort || !okEpoch {
		c.fail(notInteger)
		return
	}
	down, leader, voted := false, "*", uint64(0)
	if port >= 1 && port <= 65535 && c.words[2] != "" {
		node := warden.MakeNode(c.words[2], int(port))
		down, leader, voted = c.judge(node, uint64(max(epoch, 0)), c.words[5])
	}
	if leader == "" {
		leader = "*"
	}
	c.array(3)
	c.number(when1(down))
	c.bulk(leader)
	c.number(int64(voted))
}

func when1(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// judge asks the Neighbours. Without any, what is seen is told truthfully and
// nobody is voted for. What is no id of a Sentinel is no candidate.
func (c *call) judge(node warden.NodeID, epoch uint64, candidate string) (down bool, leader string, voted uint64) {
	if !isWardenID(strings.ToLower(candidate)) {
		candidate = "*"
	}
	if n := c.server.options.Neighbours; n != nil {
		ctx, cancel := c.within()
		defer cancel()
		return n.Down(ctx, node, epoch, candidate)
	}
	if c.server.dir.Self().Tilt {
		return false, "*", 0
	}
	for _, v := range c.server.views() {
		if v.Primary == node && !v.Tilt && primaryNode(v).Down {
			return true, "*", 0
		}
	}
	return false, "*", 0
}
