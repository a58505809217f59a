package embeddednode

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spineldb/warden/warden"
)

// state is the content of a state file.
type state struct {
	ID           string        `json:"id"`
	SecondID     string        `json:"second_id,omitempty"`
	SecondOffset int64         `json:"second_offset"`
	Offset       int64         `json:"offset"`
	Upstream     warden.NodeID `json:"upstream,omitempty"`
	// Snapshot makes the data anew (see engine.snapshot).
	Snapshot []byte `json:"snapshot"`
}

// load reads the state file, if there is one. A replica comes back in its old
// history. A primary begins a new one that goes back to it, because it may
// have written more before it died than the file knows.
func (n *Node) load() error {
	if n.opts.StateFile == "" {
		return nil
	}
	text, err := os.ReadFile(n.opts.StateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read state: %w", err)
	}
	var s state
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("read state %s (remove it to start anew): %w", n.opts.StateFile, err)
	}
	if err := n.engine.restore(s.Snapshot); err != nil {
		return fmt.Errorf("read state %s (remove it to start anew): %w", n.opts.StateFile, err)
	}
	r := &n.repl
	r.offset, r.upstream = s.Offset, s.Upstream
	if s.Upstream == "" {
		r.secondID, r.secondOffset = s.ID, s.Offset+1
		return nil
	}
	r.id, r.secondID, r.secondOffset = s.ID, s.SecondID, s.SecondOffset
	return nil
}

// save writes the state file if something changed. The rename makes it whole
// or absent; it need not survive a power cut.
func (n *Node) save() error {
	if n.opts.StateFile == "" {
		return nil
	}
	n.saving.Lock()
	defer n.saving.Unlock()
	n.mu.Lock()
	if !n.unsaved {
		n.mu.Unlock()
		return nil
	}
	r := &n.repl
	s := state{r.id, r.secondID, r.secondOffset, r.offset, r.upstream, n.engine.snapshot()}
	n.unsaved = false
	n.mu.Unlock()
	text, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	next := n.opts.StateFile + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(next, n.opts.StateFile); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// keepSaving writes the state file every now and then.
func (n *Node) keepSaving() {
	tick := time.NewTicker(n.opts.SaveEvery)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		case <-n.saveNow:
		}
		if err := n.save(); err != nil {
			n.mu.Lock()
			n.unsaved = true // tried again with the next tick
			n.mu.Unlock()
		}
	}
}
