package resp

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Bounds of a request.
const (
	maxFrame        = 1 << 20  // bytes of one request
	maxFrameNoAuth  = 64 << 10 // the same while a password is still owed
	maxArgs         = 1024
	maxInline       = 64 << 10
	maxHeader       = 64 << 10 // bytes of a "*3" or "$5" line, which Redis allows too
	readBufferBytes = 4 << 10
	keepScratch     = 16 << 10
	keepRequest     = 512 // bytes of a request whose words may serve again
)

// protocolError ends a connection. Its text is what Redis says.
type protocolError string

func (e protocolError) Error() string { return "Protocol error: " + string(e) }

const (
	errMultibulkLength = protocolError("invalid multibulk length")
	errMultibulkHeader = protocolError("too big mbulk count string")
	errBulkLength      = protocolError("invalid bulk length")
	errBulkHeader      = protocolError("too big bulk count string")
	errBulkNoAuth      = protocolError("unauthenticated bulk length")
	errInlineTooBig    = protocolError("too big inline request")
	errQuotes          = protocolError("unbalanced quotes in request")
)

// requestReader reads requests: arrays of bulk strings, or lines as typed into
// telnet. It is used by one goroutine.
type requestReader struct {
	br      *bufio.Reader
	scratch []byte
	words   []string // of the last request
	// mid says that a request has begun and not ended, for deadlines.
	mid bool
}

func newRequestReader(r io.Reader) *requestReader {
	return &requestReader{br: bufio.NewReaderSize(r, readBufferBytes)}
}

// read returns the words of the next request, none for an empty one (which
// asks for no answer). The slice, not the words, is valid until the next call.
// authenticated chooses the bound on the request's size. After any error the
// stream cannot be read further; a protocolError deserves an answer.
func (r *requestReader) read(authenticated bool) ([]string, error) {
	r.mid = false
	first, err := r.br.ReadByte()
	if err != nil {
		return nil, err
	}
	r.mid = true
	limit := maxFrame
	if !authenticated {
		limit = maxFrameNoAuth
	}
	var words []string
	if first == '*' {
		words, err = r.multibulk(limit, authenticated)
	} else {
		// The byte was read just now, so it can be put back.
		_ = r.br.UnreadByte()
		words, err = r.inline()
	}
	if err == nil {
		r.mid = false
	}
	if cap(r.scratch) > keepScratch {
		r.scratch = nil
	}
	return words, err
}

func (r *requestReader) multibulk(budget int, authenticated bool) ([]string, error) {
	count, used, err := r.length(errMultibulkHeader, errMultibulkLength)
	if err != nil {
		return nil, err
	}
	if count > maxArgs {
		return nil, errMultibulkLength
	}
	if count <= 0 {
		return nil, nil // Redis takes these for nothing at all
	}
	room := budget
	budget -= used
	words := r.words[:0]
	for range count {
		first, err := r.br.ReadByte()
		if err != nil {
			return nil, err
		}
		if first != '$' {
			return nil, protocolError(fmt.Sprintf("expected '$', got '%c'", printable(first)))
		}
		n, used, err := r.length(errBulkHeader, errBulkLength)
		if err != nil {
			return nil, err
		}
		budget -= used + 2
		if n < 0 || n > maxFrame {
			return nil, errBulkLength
		}
		if n > budget {
			if !authenticated {
				return nil, errBulkNoAuth
			}
			return nil, errBulkLength
		}
		text, err := r.bulk(n)
		if err != nil {
			return nil, err
		}
		budget -= n
		words = append(words, r.word(len(words), text))
	}
	r.words = nil
	if room-budget <= keepRequest {
		r.words = words
	}
	return words, nil
}

// word makes text a string. Clients mostly ask what they asked before, so the
// word at the same place of the last request is often the same, and then costs
// no memory.
func (r *requestReader) word(i int, text []byte) string {
	if i < len(r.words) && r.words[i] == string(text) {
		return r.words[i]
	}
	return string(text)
}

// length reads the rest of a header line: a decimal number and CR LF. used is
// the size of the line in bytes, its first byte included.
func (r *requestReader) length(tooBig, invalid protocolError) (n, used int, err error) {
	line, err := r.line(maxHeader, tooBig)
	if err != nil {
		return 0, 0, err
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(text) > 20 {
		return 0, 0, invalid
	}
	n, ok = decimal(text)
	if !ok {
		return 0, 0, invalid
	}
	return n, len(line) + 1, nil
}

// decimal reads a whole number, and refuses "+1", "01" and "-0" as Redis does.
func decimal(text []byte) (n int, ok bool) {
	if len(text) == 1 && text[0] >= '0' && text[0] <= '9' {
		return int(text[0] - '0'), true
	}
	n, err := strconv.Atoi(string(text))
	return n, err == nil && strconv.Itoa(n) == string(text)
}

// line reads up to and including LF. The result is valid until the next read.
func (r *requestReader) line(limit int, tooBig protocolError) ([]byte, error) {
	r.scratch = r.scratch[:0]
	for {
		part, err := r.br.ReadSlice('\n')
		if len(r.scratch)+len(part) > limit {
			return nil, tooBig
		}
		if err == nil && len(r.scratch) == 0 {
			return part, nil
		}
		r.scratch = append(r.scratch, part...)
		if err == nil {
			return r.scratch, nil
		}
		if err != bufio.ErrBufferFull {
			return nil, err
		}
	}
}

// bulk reads n bytes and CR LF. It reserves at most 4 KiB and as much again as
// has arrived, whatever n promises.
// The result is valid until the next read.
func (r *requestReader) bulk(n int) ([]byte, error) {
	buf := r.scratch[:0]
	for len(buf) < n {
		have := len(buf)
		want := min(n-have, max(have, readBufferBytes))
		buf = slices.Grow(buf, want)[:have+want]
		if _, err := io.ReadFull(r.br, buf[have:]); err != nil {
			return nil, err
		}
	}
	r.scratch = buf
	for _, want := range []byte("\r\n") {
		b, err := r.br.ReadByte()
		if err != nil {
			return nil, err
		}
		if b != want {
			// Redis skips two bytes unseen. We would rather stop than take
			// data for the next request.
			return nil, errBulkLength
		}
	}
	return buf, nil
}

func (r *requestReader) inline() ([]string, error) {
	line, err := r.line(maxInline, errInlineTooBig)
	if err != nil {
		return nil, err
	}
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	words, err := splitWords(string(line))
	if err != nil {
		return nil, err
	}
	if len(words) > maxArgs {
		return nil, errMultibulkLength
	}
	return words, nil
}

// splitWords splits a typed line the way Redis does: blanks separate, double
// quotes know escapes, single quotes know only \', and a closing quote must end
// its word.
func splitWords(line string) ([]string, error) {
	var words []string
	for i := 0; ; {
		for i < len(line) && (line[i] == ' ' || line[i] >= '\t' && line[i] <= '\r') {
			i++
		}
		if i == len(line) {
			return words, nil
		}
		word, next, err := scanWord(line, i)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		i = next
	}
}

func scanWord(line string, i int) (word string, next int, err error) {
	var b []byte
	for i < len(line) {
		switch c := line[i]; c {
		case ' ', '\n', '\r', '\t':
			return string(b), i, nil
		case '"', '\'':
			quoted, end, ok := scanQuoted(line, i)
			if !ok {
				return "", 0, errQuotes
			}
			return string(append(b, quoted...)), end, nil
		default:
			b = append(b, c)
			i++
		}
	}
	return string(b), i, nil
}

// scanQuoted reads the quoted text that begins at line[i].
func scanQuoted(line string, i int) (text []byte, end int, ok bool) {
	quote := line[i]
	for i++; i < len(line); i++ {
		c := line[i]
		switch {
		case c == quote:
			i++
			return text, i, i == len(line) || line[i] == ' ' || line[i] >= '\t' && line[i] <= '\r'
		case c == '\\' && quote == '\'' && i+1 < len(line) && line[i+1] == '\'':
			i++
			text = append(text, '\'')
		case c == '\\' && quote == '"' && i+1 < len(line):
			if hex, found := hexEscape(line[i:]); found {
				text = append(text, hex)
				i += 3
				continue
			}
			i++
			text = append(text, unescape(line[i]))
		default:
			text = append(text, c)
		}
	}
	return nil, 0, false
}

// hexEscape reads "\x41".
func hexEscape(s string) (byte, bool) {
	if len(s) < 4 || s[1] != 'x' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:4], 16, 8)
	return byte(n), err == nil
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

// printable keeps control bytes out of error lines.
func printable(c byte) rune {
	if c < ' ' || c > '~' {
		return '?'
	}
	return rune(c)
}
