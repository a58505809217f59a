package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// wire is a connection that speaks RESP2, without any comfort: a client library
// would retry, pool and time out as it likes, and that is what is measured.
// One goroutine at a time.
type wire struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// refusal is an error reply.
type refusal string

func (r refusal) Error() string { return string(r) }

func dial(addr string, limit time.Duration) (*wire, error) {
	conn, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		return nil, err
	}
	return &wire{addr, conn, bufio.NewReader(conn)}, nil
}

func (w *wire) close() {
	if w != nil {
		_ = w.conn.Close()
	}
}

// call sends one command and reads its answer: string, int64, []any, or nil.
// After any error but a refusal the connection is of no use.
func (w *wire) call(limit time.Duration, words ...string) (any, error) {
	if err := w.send(limit, words); err != nil {
		return nil, err
	}
	return w.read()
}

// send writes commands in one piece and sets the deadline for their answers.
func (w *wire) send(limit time.Duration, commands ...[]string) error {
	if err := w.conn.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	var out []byte
	for _, words := range commands {
		out = fmt.Appendf(out, "*%d\r\n", len(words))
		for _, word := range words {
			out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(word), word)
		}
	}
	_, err := w.conn.Write(out)
	return err
}

// maxBulk bounds what an answer may make us read.
const maxBulk = 1 << 24

func (w *wire) read() (any, error) {
	line, err := w.in.ReadString('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 {
		return nil, errors.New("read answer: a line is too short")
	}
	kind, text := line[0], line[1:len(line)-2]
	switch kind {
	case '+':
		return text, nil
	case '-':
		return nil, refusal(text)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if kind == ':' {
		return n, nil
	}
	if n > maxBulk {
		return nil, fmt.Errorf("read answer: %d is too long", n)
	}
	if n < 0 {
		return nil, nil
	}
	switch kind {
	case '$':
		bulk := make([]byte, n+2)
		if _, err := io.ReadFull(w.in, bulk); err != nil {
			return nil, err
		}
		return string(bulk[:n]), nil
	case '*':
		list := make([]any, 0, n)
		for range n {
			item, err := w.read()
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	}
	return nil, fmt.Errorf("read answer: unknown kind %q", kind)
}

// pairs makes a map of a list of names and values; other things are left out.
func pairs(answer any) map[string]string {
	list, _ := answer.([]any)
	out := map[string]string{}
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		value, _ := list[i+1].(string)
		out[name] = value
	}
	return out
}
