package spineldb

import (
	"bytes"
	"strconv"
	"strings"
)

// Operators may give commands other names on their servers (rename-command),
// as Sentinel's option of that name lets it know. The words are replaced where
// the bytes leave, and nowhere else: everything above speaks the usual words,
// also go-redis, which logs in and subscribes by itself.

// word is a command's name on the server, in lower case unless it is another.
func (t *tap) word(usual string) string {
	if to, ok := t.words[strings.ToUpper(usual)]; ok {
		return to
	}
	return strings.ToLower(usual)
}

// rename replaces the first word of each command. p has to begin with a
// command; what cannot be read as whole commands is left as it is.
func rename(p []byte, words map[string]string) []byte {
	out := make([]byte, 0, len(p)+32)
	for len(p) > 0 {
		count, rest, ok := readCount(p, '*')
		if !ok || count < 1 {
			return append(out, p...)
		}
		first, rest, ok := readBulk(rest)
		if !ok {
			return append(out, p...)
		}
		args := rest
		for range count - 1 {
			if _, rest, ok = readBulk(rest); !ok {
				return append(out, p...)
			}
		}
		if to, found := words[strings.ToUpper(string(first))]; found {
			first = []byte(to)
		}
		out = append(strconv.AppendInt(append(out, '*'), int64(count), 10), "\r\n$"...)
		out = append(strconv.AppendInt(out, int64(len(first)), 10), "\r\n"...)
		out = append(append(out, first...), "\r\n"...)
		out = append(out, args[:len(args)-len(rest)]...)
		p = rest
	}
	return out
}

// readCount reads a line that is a sign and a number.
func readCount(p []byte, sign byte) (n int, rest []byte, ok bool) {
	line, rest, ok := bytes.Cut(p, []byte("\r\n"))
	if !ok || len(line) < 2 || line[0] != sign {
		return 0, nil, false
	}
	n, err := strconv.Atoi(string(line[1:]))
	return n, rest, err == nil && n >= 0
}

// readBulk reads one bulk string.
func readBulk(p []byte) (text, rest []byte, ok bool) {
	n, p, ok := readCount(p, '$')
	if !ok || n > len(p)-2 || !bytes.HasPrefix(p[n:], []byte("\r\n")) {
		return nil, nil, false
	}
	return p[:n], p[n+2:], true
}
