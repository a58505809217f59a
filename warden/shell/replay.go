package shell

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// ErrGap ends a replay at a place where the record has lost lines.
var ErrGap = errors.New("record has a gap")

// Replay thinks a record again and calls each with every step: the line, the
// mind after it and what it wanted. Each "start" line begins a new run. Lines
// before the first one are passed over, because the state they belong to is
// not in the record. newMind is the real one if nil.
func Replay(record io.Reader, newMind func(group.Config, warden.Register, warden.Instant) Mind,
	each func(Recorded, Mind, group.Effects),
) error {
	if newMind == nil {
		newMind = newGroupMind
	}
	lines := bufio.NewScanner(record)
	lines.Buffer(nil, recordMax)
	var mind, before Mind
	var config *group.Config
	for n := 1; lines.Scan(); n++ {
		var line Recorded
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("read record, line %d: %w", n, err)
		}
		if line.Config != nil {
			config = line.Config
		}
		switch {
		case line.Kind == "start" && line.Register != nil && config != nil:
			mind, before = newMind(*config, *line.Register, line.At), nil
		case mind == nil:
		case line.Missing > 0:
			return fmt.Errorf("read record, line %d: %w of %d lines", n, ErrGap, line.Missing)
		case line.Kind == "config":
		default:
			e, err := line.decode()
			if err != nil {
				return fmt.Errorf("read record, line %d: %w", n, err)
			}
			if _, failed := e.(group.StoreFailed); failed && before != nil {
				// The step before could not be written: it did not happen.
				mind = before
			}
			next, effects := mind.Step(config, e, line.At)
			mind, before = next, mind
			each(line, mind, effects)
		}
	}
	return lines.Err()
}

// decode reads the event of a line.
func (r Recorded) decode() (group.Event, error) {
	switch r.Kind {
	case "Tick":
		return decodeAs[group.Tick](r.Event)
	case "Beat":
		return decodeAs[group.Beat](r.Event)
	case "Looked":
		return decodeAs[group.Looked](r.Event)
	case "LinkEnded":
		return decodeAs[group.LinkEnded](r.Event)
	case "KnockFailed":
		return decodeAs[group.KnockFailed](r.Event)
	case "Heard":
		return decodeAs[group.Heard](r.Event)
	case "PeersKnown":
		return decodeAs[group.PeersKnown](r.Event)
	case "ActionDone":
		return decodeAs[group.ActionDone](r.Event)
	case "StoreFailed":
		return decodeAs[group.StoreFailed](r.Event)
	case "StoreWorks":
		return decodeAs[group.StoreWorks](r.Event)
	case "Commanded":
		return decodeAs[group.Commanded](r.Event)
	case "Conflict":
		return decodeAs[group.Conflict](r.Event)
	case "SentinelsWatch":
		return decodeAs[group.SentinelsWatch](r.Event)
	}
	return nil, fmt.Errorf("unknown kind of event %q: it was written by another version", r.Kind)
}

func decodeAs[E group.Event](raw json.RawMessage) (group.Event, error) {
	var e E
	err := json.Unmarshal(raw, &e)
	return e, err
}
