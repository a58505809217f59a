package spineldb

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// Goal: every kind of reply is read, in whatever pieces it comes.
func TestReadReplies(t *testing.T) {
	const text = "+PONG\r\n:-7\r\n$5\r\na\r\nbc\r\n$-1\r\n*-1\r\n*3\r\n+OK\r\n-ERR no\r\n*1\r\n$0\r\n\r\n-LOADING wait\r\n"
	want := []reply{{val: "PONG"}, {val: int64(-7)}, {val: "a\r\nbc"}, {}, {}, {val: []any{"OK", replyError("ERR no"), []any{""}}}, {err: replyError("LOADING wait")}}
	for name, from := range map[string]io.Reader{"whole": strings.NewReader(text), "byte by byte": iotest.OneByteReader(strings.NewReader(text))} {
		r := &reader{from: from, room: make([]byte, 4)} // too small for nearly all of it
		for i, w := range want {
			got, err := r.reply()
			if err != nil || !reflect.DeepEqual(got, w) {
				t.Fatalf("%s: reply %d: %+v, %v, want %+v", name, i, got, err, w)
			}
		}
		if _, err := r.reply(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last: %v", name, err)
		}
	}
}

// Goal: what is no reply, or one beyond all bounds, is an error of the
// connection and takes no memory.
func TestReadNonsense(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 400\r\n", "\r\n", "+\n", "x\r\n", ":\r\n", ":x\r\n", "$3\r\nabcde", "$9999999999\r\n", "*9999999999\r\n",
		strings.Repeat("*1\r\n", 20) + ":1\r\n", "+" + strings.Repeat("a", 1<<17),
	} {
		r := &reader{from: strings.NewReader(text), room: make([]byte, 16)}
		if got, err := r.reply(); err == nil {
			t.Errorf("%.20q is read as %+v", text, got)
		}
		if len(r.room) > 1<<18 {
			t.Errorf("%.20q took %d bytes", text, len(r.room))
		}
	}
}

// Goal: nothing that a server sends can hurt.
func FuzzReadReply(f *testing.F) {
	f.Add("*2\r\n$1\r\na\r\n:1\r\n")
	f.Add("-ERR x\r\n+a\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := &reader{from: strings.NewReader(text), room: make([]byte, 8)}
		for range 100 {
			if _, err := r.reply(); err != nil {
				return
			}
		}
	})
}
