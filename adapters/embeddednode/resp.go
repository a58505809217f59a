package embeddednode

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of one command. The length of a line is bounded by the reader.
const (
	maxArgs    = 1 << 16
	maxBulk    = 16 << 20 // bytes
	maxCommand = 64 << 20 // bytes
	lineSize   = 16 << 10 // bytes
)

var errProtocol = errors.New("Protocol error: not a command")

// readCommand reads one command: an array of bulk strings, or words on a line.
// An empty result is an empty line. The reader's buffer bounds a line.
func readCommand(r *bufio.Reader) ([]string, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	count, isArray := strings.CutPrefix(line, "*")
	if !isArray {
		return strings.Fields(line), nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n > maxArgs {
		return nil, errProtocol
	}
	var args []string
	total := 0
	for range max(n, 0) {
		arg, err := readBulk(r, maxCommand-total)
		if err != nil {
			return nil, err
		}
		total += len(arg)
		args = append(args, arg)
	}
	return args, nil
}

// readBulk reads one bulk string of at most room bytes.
func readBulk(r *bufio.Reader, room int) (string, error) {
	line, err := readLine(r)
	if err != nil {
		return "", err
	}
	size, isBulk := strings.CutPrefix(line, "$")
	n, err := strconv.Atoi(size)
	if !isBulk || err != nil || n < 0 || n > maxBulk || n > room {
		return "", errProtocol
	}
	buf := make([]byte, n+2)
	if _, err := io.ReadFull(r, buf); err != nil {
		return "", fmt.Errorf("read bulk: %w", err)
	}
	if buf[n] != '\r' || buf[n+1] != '\n' {
		return "", errProtocol
	}
	return string(buf[:n]), nil
}

// readLine reads up to the end of a line, which is taken off.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", errProtocol
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(line[:len(line)-1]), "\r"), nil
}

// appendCommand encodes a command as an array of bulk strings.
func appendCommand(b []byte, args ...string) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(len(args)), 10)
	b = append(b, "\r\n"...)
	for _, a := range args {
		b = appendBulk(b, a)
	}
	return b
}

func appendBulk(b []byte, s string) []byte {
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(len(s)), 10)
	b = append(b, "\r\n"...)
	b = append(b, s...)
	return append(b, "\r\n"...)
}

func appendInt(b []byte, n int64) []byte {
	b = append(b, ':')
	b = strconv.AppendInt(b, n, 10)
	return append(b, "\r\n"...)
}

func appendLen(b []byte, n int) []byte {
	b = append(b, '*')
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "\r\n"...)
}

// appendSimple encodes a simple string, or an error when text begins with '-'.
func appendSimple(b []byte, text string) []byte {
	if !strings.HasPrefix(text, "-") {
		b = append(b, '+')
	}
	for i := range len(text) {
		if c := text[i]; c == '\r' || c == '\n' {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return append(b, "\r\n"...)
}
