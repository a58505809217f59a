package resp

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxPause is far more than anybody means, and no overflow.
const maxPause = 100 * 365 * 24 * time.Hour

// pause holds the commands of all clients back until a moment (CLIENT PAUSE).
// Safe for concurrent use.
type pause struct {
	on atomic.Bool

	mu      sync.Mutex
	until   time.Time
	changed chan struct{} // closed when until changes
}

// hold begins a pause, or makes the one that runs longer, never shorter.
func (p *pause) hold(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until := time.Now().Add(d); until.After(p.until) {
		p.set(until)
	}
}

func (p *pause) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(time.Time{})
}

func (p *pause) set(until time.Time) {
	p.until = until
	p.on.Store(!until.IsZero())
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// left tells how long the pause lasts from now, and a channel that says when
// that is no longer so.
func (p *pause) left() (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := time.Until(p.until)
	if d <= 0 {
		if !p.until.IsZero() {
			p.set(time.Time{})
		}
		return 0, nil
	}
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return d, p.changed
}

// waitOut waits until no pause holds the command back. What ends a pause or a
// connection, other Sentinels' questions and the operator's own WARDEN are
// never held back: a monitor that cannot be asked protects nobody.
func (s *Server) waitOut(c *call) {
	container, _, _ := strings.Cut(c.name, "|")
	switch {
	case container == "warden", c.name == "client|unpause", c.name == "quit", c.name == "publish",
		strings.HasSuffix(c.name, "-down-by-addr"):
		return
	}
	for {
		d, changed := s.pause.left()
		if d == 0 || !c.client.flush() || c.client.out.gone() {
			return
		}
		timer := time.NewTimer(min(d, time.Second)) // to see whether the client was cut
		select {
		case <-timer.C:
		case <-changed:
		case <-s.ctx.Done():
		}
		timer.Stop()
		if s.ctx.Err() != nil {
			return
		}
	}
}

func clientPause(c *call) {
	if len(c.words) > 4 {
		c.wrongUsage()
		return
	}
	all := true
	if len(c.words) == 4 {
		all = strings.EqualFold(c.words[3], "all")
		if !all && !strings.EqualFold(c.words[3], "write") {
			c.fail("ERR CLIENT PAUSE mode must be WRITE or ALL")
			return
		}
	}
	n, ok := parseInt(c.words[2])
	switch {
	case !ok:
		c.fail("ERR timeout is not an integer or out of range")
		return
	case n < 0:
		c.fail("ERR timeout is negative")
		return
	}
	if all { // nothing writes here that WRITE could hold back
		c.server.pause.hold(time.Duration(min(n, int64(maxPause/time.Millisecond))) * time.Millisecond)
	}
	c.simple("OK")
}

func clientUnpause(c *call) {
	c.server.pause.end()
	c.simple("OK")
}

// replyMode is what CLIENT REPLY chose. One goroutine uses it.
type replyMode struct {
	off      bool
	skip     bool // this command is not answered
	skipNext bool
}

func clientReply(c *call) {
	mode := &c.client.replies
	switch strings.ToLower(c.words[2]) {
	case "on":
		mode.off, mode.skip = false, false
		c.simple("OK")
	case "off":
		mode.off = true
	case "skip":
		mode.skipNext = !mode.off
	default:
		c.syntaxError()
	}
}

// next begins a command.
func (m *replyMode) next() { m.skip, m.skipNext = m.skipNext, false }

func (m *replyMode) silent() bool { return m.off || m.skip }

// hush takes back what a command has answered, when it was not to be answered.
// before is where its answer began.
func (c *client) hush(before int) {
	if c.replies.silent() {
		c.w.buf = c.w.buf[:min(before, len(c.w.buf))]
	}
}
