package resp

import (
	"errors"
	"fmt"
	"strings"
)

// Rename gives a command another name for clients (rename-command); an empty
// To takes it away. In rules of access, in the catalogue and in errors it keeps
// its own name.
type Rename struct{ From, To string }

// What can be wrong with a Rename, in Redis's words.
var (
	ErrNoSuchCommand = errors.New("No such command in rename-command")
	ErrNameTaken     = errors.New("Target command name already exists")
)

// CheckRenames reports the first of the renames that cannot be made, as its
// place in the list, and why; -1 and nil if there is none.
func CheckRenames(renames []Rename) (int, error) {
	t := newCommandTable()
	for i, r := range renames {
		if err := t.rename(r); err != nil {
			return i, err
		}
	}
	return -1, nil
}

// rename changes under which name clients call a command. A command that was
// renamed is found by its new name alone, as in Redis.
func (t commandTable) rename(r Rename) error {
	from, to := strings.ToLower(r.From), strings.ToLower(r.To)
	cmd := t.called[from]
	if cmd == nil {
		return ErrNoSuchCommand
	}
	delete(t.called, from)
	if to == "" {
		return nil
	}
	if t.called[to] != nil {
		return ErrNameTaken
	}
	t.called[to] = cmd
	return nil
}

// renamed is the table with all names changed.
func (t commandTable) renamed(renames []Rename) (commandTable, error) {
	for _, r := range renames {
		if err := t.rename(r); err != nil {
			return t, fmt.Errorf("rename command %q: %w", r.From, err)
		}
	}
	return t, nil
}
