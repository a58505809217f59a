package store

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/spineldb/warden/warden"
)

// A record is one line of text:
//
//	<crc32c, 8 hex digits> <json>
//
// The checksum covers the key too, so that a record that strayed to another
// key is found. bbolt has no checksums of its own except on its two first
// pages, and a vote with one digit changed would be believed.
type record struct {
	// Format is the major version of Data. Fields that are not known are
	// ignored, so minor changes need no number.
	Format int             `json:"format"`
	Data   json.RawMessage `json:"data"`
}

const sumLength = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key string, text []byte) string {
	sum := crc32.Update(0, castagnoli, []byte(key))
	sum = crc32.Update(sum, castagnoli, []byte{0})
	return fmt.Sprintf("%08x", crc32.Update(sum, castagnoli, text))
}

// encode makes the record of v under a key.
func encode(key string, v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode record %q: %w", key, err)
	}
	text, err := json.Marshal(record{Format: warden.FormatMajor, Data: data})
	if err != nil {
		return nil, fmt.Errorf("encode record %q: %w", key, err)
	}
	return append([]byte(checksum(key, text)+" "), text...), nil
}

// decode reads the record under a key into v. Errors wrap ErrDamaged or
// ErrNewerFormat.
func decode(key string, raw []byte, v any) error {
	if len(raw) <= sumLength || raw[sumLength] != ' ' {
		return fmt.Errorf("record %q is %w: it has no checksum", key, ErrDamaged)
	}
	text := raw[sumLength+1:]
	if string(raw[:sumLength]) != checksum(key, text) {
		return fmt.Errorf("record %q is %w: its checksum does not match", key, ErrDamaged)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("record %q is %w: %w", key, ErrDamaged, err)
	}
	if r.Format > warden.FormatMajor {
		return fmt.Errorf("record %q is %w (format %d, this one reads up to %d)", key, ErrNewerFormat, r.Format, warden.FormatMajor)
	}
	if err := json.Unmarshal(r.Data, v); err != nil {
		return fmt.Errorf("record %q is %w: %w", key, ErrDamaged, err)
	}
	return nil
}

func compareIDs(a, b warden.WardenID) int { return strings.Compare(string(a), string(b)) }

// validIdentity reports whether id has the form of an identity.
func validIdentity(id warden.WardenID) bool {
	return len(id) == 40 && strings.Trim(string(id), "0123456789abcdef") == ""
}
