package resp

import (
	"bytes"
	"errors"
	"time"
)

// seat is a client's place in the lobby. The lobby's lock guards stay and fd.
type seat struct {
	stay  stay
	fd    int32
	back  chan struct{} // gets one word at the end of each stay
	stays bool          // in the lobby, after this round
	over  bool          // the connection has ended

	// quick says that the last command was, so the next one may be.
	quick bool
	// attended says that the lobby's goroutine stands in for the client's own.
	attended bool
	now      time.Time // while attended
	// asked is the last question as it arrived, which is mostly the next one
	// too, and command and words what it was found to be.
	asked   []byte
	command *command
	words   []string
	// arrived is what the lobby has read and nobody has taken yet.
	arrived []byte
}

// stay tells who has a client in hand.
type stay int

const (
	away     stay = iota // its own goroutine
	resting              // nobody: nothing has arrived
	attended             // the lobby
	called               // the lobby, which shall let go of it
)

// errNotArrived ends the reading of what the lobby has not got.
var errNotArrived = errors.New("the rest of the request has not arrived")

// rest leaves a client that has been answered to the lobby, until something
// has to be done that its own goroutine must do. It returns at once if this
// client may not go there.
func (c *client) rest() {
	l := c.server.lobby
	if l == nil || !c.mayRest() || !c.flush() || !c.out.idle() {
		return
	}
	if l.enter(c) {
		<-c.seat.back
		l.leave(c)
		c.quitting = c.quitting || c.seat.over
	}
}

// mayRest: who has no deadline, gets nothing but answers, and is likely to ask
// for what the lobby can answer.
func (c *client) mayRest() bool {
	return c.seat.quick && c.authorized && !c.quitting && c.server.options.IdleTimeout == 0 &&
		c.reader.br.Buffered() == 0 && len(c.seat.arrived) == 0 &&
		c.subscriptions.Load() == 0 && c.replies == replyMode{}
}

// attend answers the quick requests that have arrived in the lobby. It reports
// false, and leaves the others to the client's own goroutine, if there are any.
// The answers are then in the client's writer. It waits for nothing.
func (c *client) attend(arrived []byte, now time.Time) bool {
	s := &c.seat
	s.attended, s.now = true, now
	defer func() { s.attended = false }()
	if len(s.asked) > 0 && bytes.Equal(arrived, s.asked) && c.server.mayAnswer(c, s.command) {
		c.server.answer(c, s.command, s.command.full, "", s.words)
		return !c.quitting
	}
	s.asked = s.asked[:0]
	s.arrived = arrived
	for at := 0; at < len(arrived); at = len(arrived) - c.reader.br.Buffered() {
		words, err := c.reader.read(true)
		if err != nil || !c.server.quickly(c, words) {
			// What was read of it is read again, by who can wait for more.
			c.reader.br.Reset(c)
			s.arrived = bytes.Clone(arrived[at:])
			return false
		}
		if at == 0 && c.reader.br.Buffered() == 0 && len(s.arrived) == 0 && len(arrived) <= keepRequest {
			s.remember(arrived, words)
		}
	}
	return !c.quitting
}

// quickly answers a request if it is one for the lobby, and reports whether it
// was.
func (s *Server) quickly(c *client, words []string) bool {
	if len(words) == 0 {
		return true // asks for no answer
	}
	cmd, name, problem := s.table.find(words)
	if problem != "" || !s.mayAnswer(c, cmd) {
		return false
	}
	c.seat.command = cmd
	s.answer(c, cmd, name, problem, words)
	return true
}

// mayAnswer reports whether the lobby may answer a command now.
func (s *Server) mayAnswer(c *client, cmd *command) bool {
	return cmd.quick && !c.quitting && !s.pause.on.Load()
}

// remember keeps a question, and what words it was. An empty one is none.
func (s *seat) remember(asked []byte, words []string) {
	if len(words) > 0 {
		s.asked, s.words = append(s.asked, asked...), append(s.words[:0], words...)
	}
}

// now is the time, in the lobby that of its round.
func (c *client) now() time.Time {
	if c.seat.attended {
		return c.seat.now
	}
	return time.Now()
}

// idle reports whether nothing is queued and nobody writes to a client that is
// still there.
func (b *outbox) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.claimed && !b.dead && len(b.pending) == 0
}
