package resp

import (
	"strconv"
	"strings"
)

// writer builds replies in memory, in the protocol of one connection. It never
// fails and never waits. Used by one goroutine.
type writer struct {
	buf   []byte
	proto int // 2 or 3
}

func (w *writer) header(kind byte, n int64) {
	w.buf = append(w.buf, kind)
	w.buf = strconv.AppendInt(w.buf, n, 10)
	w.buf = append(w.buf, '\r', '\n')
}

// oneLine replaces what would end a line early.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// simple writes a simple string.
func (w *writer) simple(s string) {
	w.buf = append(w.buf, '+')
	w.buf = append(w.buf, oneLine.Replace(s)...)
	w.buf = append(w.buf, '\r', '\n')
}

// fail writes an error. text begins with its code, such as ERR.
func (w *writer) fail(text string) {
	w.buf = append(w.buf, '-')
	w.buf = append(w.buf, oneLine.Replace(text)...)
	w.buf = append(w.buf, '\r', '\n')
}

func (w *writer) number(n int64) { w.header(':', n) }

func (w *writer) bulk(s string) {
	w.header('$', int64(len(s)))
	w.buf = append(w.buf, s...)
	w.buf = append(w.buf, '\r', '\n')
}

func (w *writer) bulks(list ...string) {
	for _, s := range list {
		w.bulk(s)
	}
}

// text writes many lines for people: a verbatim string where there is one.
func (w *writer) text(s string) {
	if w.proto < 3 {
		w.bulk(s)
		return
	}
	w.header('=', int64(len(s)+4))
	w.buf = append(w.buf, "txt:"...)
	w.buf = append(w.buf, s...)
	w.buf = append(w.buf, '\r', '\n')
}

// array opens an array of n elements.
func (w *writer) array(n int) { w.header('*', int64(n)) }

// set opens a set of n elements.
func (w *writer) set(n int) {
	if w.proto < 3 {
		w.header('*', int64(n))
		return
	}
	w.header('~', int64(n))
}

// pairs opens a map of n pairs.
func (w *writer) pairs(n int) {
	if w.proto < 3 {
		w.header('*', int64(2*n))
		return
	}
	w.header('%', int64(n))
}

// push opens an out-of-band message of n elements.
func (w *writer) push(n int) {
	if w.proto < 3 {
		w.header('*', int64(n))
		return
	}
	w.header('>', int64(n))
}

// nilArray is the answer for an unknown group's address.
func (w *writer) nilArray() { w.null("*-1\r\n") }

// nilBulk is a missing string.
func (w *writer) nilBulk() { w.null("$-1\r\n") }

func (w *writer) null(resp2 string) {
	if w.proto < 3 {
		w.buf = append(w.buf, resp2...)
		return
	}
	w.buf = append(w.buf, "_\r\n"...)
}

// lines writes an array of simple strings, the shape of all HELP answers.
func (w *writer) lines(list []string) {
	w.array(len(list))
	for _, s := range list {
		w.simple(s)
	}
}
