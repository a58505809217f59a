package resp

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
)

// command is one row of the command table, or one subcommand.
type command struct {
	// name is in lower case; a subcommand's is only its own word.
	name string
	// full is the name with that of the container, such as "sentinel|master".
	// The table sets it.
	full string
	// arity counts the words, those of the container included; negative: at
	// least as many.
	arity int
	// free may be used before AUTH.
	free bool
	// listening may be used by RESP2 clients that are subscribed.
	listening bool
	// quick only reads what is ready and answers in a few bytes, so the lobby
	// may run it.
	quick bool
	// usage is the line that HELP prints after the name.
	usage   string
	summary string
	run     func(*call)
	// subs makes it a container; run then answers the bare name, if arity
	// allows it.
	subs []command
}

// commandTable finds commands by name. It does not change once it is used.
type commandTable struct {
	rows   []command // sorted by name
	byName map[string]*command
	// called are the commands, without subcommands, by the names that clients
	// call them by.
	called map[string]*command
}

// newCommandTable joins the parts. To add a command, add a row to its part.
func newCommandTable() commandTable {
	t := commandTable{byName: map[string]*command{}, called: map[string]*command{}}
	for _, part := range [][]command{connectionCommands(), pubsubCommands(), sentinelCommands(), wardenCommands()} {
		t.rows = append(t.rows, part...)
	}
	slices.SortFunc(t.rows, func(a, b command) int { return strings.Compare(a.name, b.name) })
	for i := range t.rows {
		row := &t.rows[i]
		row.full = row.name
		t.byName[row.full], t.called[row.name] = row, row
		for j := range row.subs {
			sub := &row.subs[j]
			sub.full = row.name + "|" + sub.name
			t.byName[sub.full] = sub
		}
	}
	return t
}

// find returns the command that the words call and its full name, such as
// "sentinel|master". problem is the error to answer if there is none.
func (t commandTable) find(words []string) (cmd *command, name, problem string) {
	var short [64]byte // keeps known names off the heap
	key := appendLower(short[:0], words[0])
	cmd = t.called[string(key)]
	if cmd == nil {
		return nil, string(key), unknownCommand(words)
	}
	if len(cmd.subs) == 0 || len(words) == 1 {
		return cmd, cmd.full, ""
	}
	key = appendLower(append(append(key[:0], cmd.name...), '|'), words[1])
	if sub := t.byName[string(key)]; sub != nil {
		return sub, sub.full, ""
	}
	return nil, cmd.full, fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", clip(words[1], 128), strings.ToUpper(cmd.name))
}

// appendLower appends s with its ASCII letters in lower case.
func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

func unknownCommand(words []string) string {
	var b strings.Builder
	for _, w := range words[1:] {
		if b.Len() >= 128 {
			break
		}
		b.WriteString("'" + clip(w, 128-b.Len()) + "' ")
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", clip(words[0], 128), b.String())
}

// quoteMost bounds what an error repeats of a request, where Redis has no bound.
const quoteMost = 1024

// clip returns the first n bytes of s, as far as C would print them: up to the
// first zero byte.
func clip(s string, n int) string {
	s, _, _ = strings.Cut(s[:min(len(s), n)], "\x00")
	return s
}

// fits reports whether n words are right for the command.
func (c *command) fits(n int) bool {
	return n == c.arity || c.arity < 0 && n >= -c.arity
}

// call is one request on its way.
type call struct {
	*writer
	ctx    context.Context // ends with the server
	server *Server
	client *client
	name   string
	words  []string // all of them
}

// fail answers with an error and counts it.
func (c *call) fail(format string, args ...any) {
	c.server.stats.errors.Add(1)
	c.writer.fail(fmt.Sprintf(format, args...))
}

func (c *call) wrongArity() {
	c.fail("ERR wrong number of arguments for '%s' command", c.name)
}

// dispatch answers one request. The order of the checks is Redis's, and
// clients see it: exists, arity, authenticated, allowed, subscribed.
func (s *Server) dispatch(c *client, words []string) {
	cmd, name, problem := s.table.find(words)
	if problem != "" && c.attacks(words) {
		return
	}
	c.seat.quick = problem == "" && cmd.quick
	s.answer(c, cmd, name, problem, words)
}

// answer is dispatch once it is known what is asked for.
func (s *Server) answer(c *client, cmd *command, name, problem string, words []string) {
	s.stats.commands.Add(1)
	c.note(name)
	c.replies.next()
	if c.replies.silent() {
		c.flush() // so that nothing else is taken back with the answer
	}
	defer c.hush(len(c.w.buf))
	// One for all requests of the client, which come one by one.
	r := &c.call
	*r = call{writer: &c.w, ctx: s.ctx, server: s, client: c, name: name, words: words}
	switch {
	case problem != "":
		r.fail("%s", problem)
	case !cmd.fits(len(words)):
		r.wrongArity()
	case !c.admitted() && !cmd.free:
		r.fail("NOAUTH Authentication required.")
	case r.denied(cmd):
	case c.w.proto < 3 && c.subscriptions.Load() > 0 && !cmd.listening:
		r.fail("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", name)
	default:
		if s.pause.on.Load() && !c.seat.attended { // the lobby has looked, and does not wait
			s.waitOut(r)
		}
		s.run(cmd, r)
	}
}

// run runs a command. A panic in it costs its client the connection, since the
// answer may be half written, and nobody else anything.
func (s *Server) run(cmd *command, r *call) {
	before := len(r.buf)
	defer func() {
		if cause := recover(); cause != nil {
			s.log.Error("command panicked", "command", r.name, "panic", cause, "stack", string(debug.Stack()))
			r.buf = r.buf[:min(before, len(r.buf))]
			r.fail("ERR internal error in '%s': please report it, the log has the details", r.name)
			r.client.quitting, r.client.linger = true, true
		}
	}()
	cmd.run(r)
}

// help answers HELP of a container from its own rows.
func help(container string) func(*call) {
	return func(c *call) {
		upper := strings.ToUpper(container)
		lines := []string{upper + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}
		for _, sub := range c.server.table.byName[container].subs {
			lines = append(lines, strings.TrimSpace(strings.ToUpper(sub.name)+" "+sub.usage), "    "+sub.summary)
		}
		c.lines(lines)
	}
}
