package archive

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

// sumDigits is the length of a checksum as it is written.
const sumDigits = 8

var table = crc32.MakeTable(crc32.Castagnoli)

// appendLine appends one thing as a line.
func appendLine(to []byte, thing any) ([]byte, error) {
	text, err := json.Marshal(thing)
	if err != nil {
		return to, fmt.Errorf("encode %T: %w", thing, err)
	}
	return appendText(to, text), nil
}

func appendText(to, text []byte) []byte {
	to = fmt.Appendf(to, "%08x ", crc32.Checksum(text, table))
	return append(append(to, text...), '\n')
}

// readLine is the text of a line without its end, nil if the checksum is wrong.
func readLine(line []byte) []byte {
	if len(line) < sumDigits+1 || line[sumDigits] != ' ' {
		return nil
	}
	sum, err := hex.DecodeString(string(line[:sumDigits]))
	text := line[sumDigits+1:]
	want := crc32.Checksum(text, table)
	if err != nil || !bytes.Equal(sum, []byte{byte(want >> 24), byte(want >> 16), byte(want >> 8), byte(want)}) {
		return nil
	}
	return text
}

// content is what was found in a file.
type content struct {
	texts [][]byte
	// whole is the length of the part that ends with the last good line; damaged:
	// there is a bad line in it.
	whole   int64
	damaged bool
}

// scan reads all lines. What follows the last good one was cut off.
func scan(data []byte) (c content) {
	bad := false
	for at := 0; at < len(data); {
		end := bytes.IndexByte(data[at:], '\n')
		if end < 0 {
			break
		}
		text := readLine(data[at : at+end])
		at += end + 1
		if text == nil {
			bad = true
			continue
		}
		c.texts = append(c.texts, text)
		c.whole, c.damaged = int64(at), c.damaged || bad
	}
	return c
}
