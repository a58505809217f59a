package spineldb

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/spineldb/warden/warden"
)

// knockLine is how long a line of an answer may be.
const knockLine = 512

// Knock opens one new connection, logs in, asks for a sign of life and closes it.
// A server that is loading or runs a script answers, and that is enough; one
// that has no room for a new connection, or turns it away, does not.
//
// It does without go-redis: a client for one question costs more than all else
// that is asked of a node in half a minute.
func (l *link) Knock(ctx context.Context) error {
	ctx, done := l.begin(ctx)
	defer done()
	conn, err := l.adapter.connect(ctx, l.node)
	if err != nil {
		return fmt.Errorf("knock: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := l.adapter.exchange(conn); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("wait for the answer: %w", cause)
		}
		return fmt.Errorf("knock at %s: %w", l.node, err)
	}
	return nil
}

// exchange says on a fresh connection what a knock says, and reads what comes.
func (a *Adapter) exchange(conn net.Conn) error {
	question, answers := ping, 1
	if words := a.login(); words != nil {
		question, answers = append(appendCommand(nil, words), ping...), 2
	}
	if len(a.opts.Renames) > 0 {
		question = rename(question, a.opts.Renames)
	}
	if _, err := conn.Write(question); err != nil {
		return err
	}
	in := bufio.NewReaderSize(conn, knockLine)
	for range answers {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return err
		}
		text, isError := strings.CutPrefix(strings.TrimRight(string(line), "\r\n"), "-")
		// Not HealthBusy: a server without room for us is that as well.
		if code, _, _ := strings.Cut(text, " "); isError && code != "BUSY" && healthOfReply(text) != warden.HealthLoading {
			return replyError(text)
		}
	}
	return nil
}

// login is the command that logs in, nil where there is none.
func (a *Adapter) login() []any {
	switch {
	case a.opts.User != "":
		return []any{"AUTH", a.opts.User, a.opts.Password}
	case a.opts.Password != "":
		return []any{"AUTH", a.opts.Password}
	}
	return nil
}
