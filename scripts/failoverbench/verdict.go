package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// verdict notes when the first of the monitors announces that a quorum holds
// the primary for down. What comes after is the work of the failover alone,
// free of when the last good answer came before the fault.
type verdict struct {
	first chan time.Time // holds one, the first
	wires []*wire
	all   sync.WaitGroup
}

// listen subscribes to +odown on all monitors; close ends it.
func listen(monitors []string) (*verdict, error) {
	v := &verdict{first: make(chan time.Time, 1)}
	for _, addr := range monitors {
		w, err := dial(addr, askLimit)
		if err != nil {
			v.close()
			return nil, fmt.Errorf("listen to %s: %w", addr, err)
		}
		v.wires = append(v.wires, w)
		if _, err := w.call(trialLimit, "SUBSCRIBE", "+odown"); err != nil {
			v.close()
			return nil, fmt.Errorf("listen to %s: %w", addr, err)
		}
		v.all.Go(func() { v.hear(w) })
	}
	return v, nil
}

func (v *verdict) hear(w *wire) {
	if _, err := w.read(); err != nil {
		return // closed, or a Warden that died as it was told to
	}
	select {
	case v.first <- time.Now():
	default: // another monitor was first
	}
}

// when is the time of the first announcement. It may be on its way still when
// the write it led to is done, so it is waited for a little.
func (v *verdict) when() (time.Time, error) {
	t := time.NewTimer(askLimit)
	defer t.Stop()
	select {
	case at := <-v.first:
		return at, nil
	case <-t.C:
		return time.Time{}, errors.New("there is a new primary, but no +odown was announced")
	}
}

func (v *verdict) close() {
	for _, w := range v.wires {
		w.close()
	}
	v.all.Wait()
}
