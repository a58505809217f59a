package resp

import (
	"strings"
	"time"
)

// attackLogEvery is how often an attack is worth a line in the log.
const attackLogEvery = time.Minute

// attacks reports whether a request is the beginning of an HTTP request, which
// a web browser can be made to send here by any page it shows. Its body would
// come next, and could hold commands. The connection ends without an answer, as
// with Redis, and what was not sent yet stays unsent.
func (c *client) attacks(words []string) bool {
	if !strings.EqualFold(words[0], "post") && !strings.EqualFold(words[0], "host:") {
		return false
	}
	c.w.buf = c.w.buf[:0]
	c.quitting = true
	s, now := c.server, time.Now().UnixMilli()
	s.stats.commands.Add(1)
	last := s.attackLogged.Load()
	if (last == 0 || now-last >= attackLogEvery.Milliseconds()) && s.attackLogged.CompareAndSwap(last, now) {
		s.log.Warn("Possible SECURITY ATTACK detected. Somebody sends POST or Host: as commands, as a web browser does "+
			"that is used to reach this port. Connection aborted.", "client", c.conn.RemoteAddr().String())
	}
	return true
}
