package check

import (
	"sync"
	"unsafe"
)

// seen is the set of all worlds met so far, by fingerprints of 128 bits. Safe
// for concurrent use.
type seen struct{ shards [64]shard }

type shard struct {
	mu   sync.Mutex
	rows []fingerprint // open addressing; the zero value is free
	n    int
}

// add reports whether the fingerprint is new.
func (s *seen) add(p fingerprint) bool {
	if p == (fingerprint{}) {
		p.a = 1
	}
	h := &s.shards[p.a>>58]
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n >= len(h.rows)*7/10 {
		h.grow()
	}
	i := h.place(p)
	if h.rows[i] == p {
		return false
	}
	h.rows[i] = p
	h.n++
	return true
}

func (h *shard) place(p fingerprint) uint64 {
	mask := uint64(len(h.rows) - 1)
	i := p.b & mask
	for h.rows[i] != p && h.rows[i] != (fingerprint{}) {
		i = (i + 1) & mask
	}
	return i
}

func (h *shard) grow() {
	old := h.rows
	h.rows = make([]fingerprint, max(1024, 2*len(old)))
	for _, p := range old {
		if p != (fingerprint{}) {
			h.rows[h.place(p)] = p
		}
	}
}

// printRow is the fingerprint of a packed world.
func printRow(row []uint32) fingerprint {
	return printOf(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(row))), 4*len(row)))
}
