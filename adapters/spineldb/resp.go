package spineldb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// The protocol, version 2, as far as it is needed here. Hundreds of nodes are
// looked at each second, and a client library with its pools, hooks and buffers
// took several times the processor and the memory of everything else that a
// look needs (docs/decisions/0016-own-resp-client-for-nodes.md).

// Bounds of what a server may make us read.
const (
	maxReplyBytes = 64 << 20 // the list of very many clients is some megabytes
	maxReplyItems = 1 << 20
	maxReplyDepth = 8
	maxReplyLine  = 64 << 10
)

// Sizes of the room replies are read into, in bytes: at first, and the most
// that is kept for later replies.
const (
	firstRoom = 2 << 10
	mostRoom  = 32 << 10
)

var errProtocol = errors.New("the answer is not one of the Redis protocol")

// appendCommand encodes one command, its first word under the name that the
// server knows it by. Arguments are strings and whole numbers.
func appendCommand(out []byte, names map[string]string, command []any) []byte {
	out = append(strconv.AppendInt(append(out, '*'), int64(len(command)), 10), "\r\n"...)
	for i, word := range command {
		var text string
		switch v := word.(type) {
		case string:
			text = v
		default:
			text = fmt.Sprint(v)
		}
		if i == 0 && len(names) > 0 {
			if to, found := names[strings.ToUpper(text)]; found {
				text = to
			}
		}
		out = append(strconv.AppendInt(append(out, '$'), int64(len(text)), 10), "\r\n"...)
		out = append(append(out, text...), "\r\n"...)
	}
	return out
}

// reader reads replies. It has room only while it reads, so that connections
// that rest take none.
type reader struct {
	from     io.Reader
	room     []byte
	at, have int // what was read and not used yet is room[at:have]
}

// readers are those that nobody uses at the moment.
var readers = sync.Pool{New: func() any { return &reader{room: make([]byte, firstRoom)} }}

// borrow takes a reader for one exchange; giveBack ends it.
func borrow(from io.Reader) *reader {
	r := readers.Get().(*reader)
	r.from, r.at, r.have = from, 0, 0
	return r
}

func (r *reader) giveBack() {
	r.from = nil
	if len(r.room) <= mostRoom {
		readers.Put(r)
	}
}

// rest reports whether more was sent than was read.
func (r *reader) rest() bool { return r.at < r.have }

// fill reads once, into larger room where it is full.
func (r *reader) fill() error {
	if r.at > 0 {
		r.have = copy(r.room, r.room[r.at:r.have])
		r.at = 0
	}
	if r.have == len(r.room) {
		r.room = append(r.room, make([]byte, len(r.room))...)
	}
	n, err := r.from.Read(r.room[r.have:])
	r.have += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// line reads up to the next line end. It is valid until the next read.
func (r *reader) line() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(r.room[r.at+searched:r.have], '\n'); i >= 0 {
			line := r.room[r.at : r.at+searched+i]
			r.at += searched + i + 1
			if len(line) < 2 || line[len(line)-1] != '\r' {
				return nil, errProtocol
			}
			return line[:len(line)-1], nil
		}
		searched = r.have - r.at
		if searched > maxReplyLine {
			return nil, errProtocol
		}
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// bytes reads n bytes and the line end after them. They are valid until the
// next read.
func (r *reader) bytes(n int) ([]byte, error) {
	for r.have-r.at < n+2 {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	text := r.room[r.at : r.at+n]
	if r.room[r.at+n] != '\r' || r.room[r.at+n+1] != '\n' {
		return nil, errProtocol
	}
	r.at += n + 2
	return text, nil
}

// reply reads one reply: string, int64, []any with errors among them, or nil.
// What the server refuses is in the reply; the error is one of the connection.
func (r *reader) reply() (reply, error) {
	val, err := r.value(0)
	if err != nil {
		return reply{}, err
	}
	if refusal, ok := val.(replyError); ok {
		return reply{err: refusal}, nil
	}
	return reply{val: val}, nil
}

func (r *reader) value(depth int) (any, error) {
	line, err := r.line()
	if err != nil {
		return nil, err
	}
	kind, text := line[0], line[1:]
	switch kind {
	case '+':
		return string(text), nil
	case '-':
		return replyError(text), nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return nil, errProtocol
	}
	switch kind {
	case ':':
		return n, nil
	case '$':
		if n < 0 {
			return nil, nil
		}
		if n > maxReplyBytes {
			return nil, errProtocol
		}
		text, err := r.bytes(int(n))
		return string(text), err
	case '*':
		return r.list(n, depth)
	}
	return nil, errProtocol
}

func (r *reader) list(n int64, depth int) (any, error) {
	if n < 0 {
		return nil, nil
	}
	if n > maxReplyItems || depth >= maxReplyDepth {
		return nil, errProtocol
	}
	items := make([]any, 0, min(n, 64))
	for range n {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}
