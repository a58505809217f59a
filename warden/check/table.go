package check

import "sync"

// table keeps every value once, under a small number. Values in it are never
// changed. Safe for concurrent use.
type table[T any] struct {
	mu     sync.RWMutex
	ids    map[fingerprint]uint32
	values []*T
}

func newTable[T any]() *table[T] { return &table[T]{ids: map[fingerprint]uint32{}} }

// put returns the number of v, which has the fingerprint p.
func (t *table[T]) put(p fingerprint, v *T) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id, ok := t.ids[p]; ok {
		return id
	}
	id := uint32(len(t.values))
	t.ids[p] = id
	t.values = append(t.values, v)
	return id
}

func (t *table[T]) get(id uint32) *T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.values[id]
}

func (t *table[T]) len() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.values)
}

// view reads a table without waiting for others: what it has seen of it once
// stays as it was. Not safe for concurrent use.
type view[T any] struct {
	of     *table[T]
	values []*T
}

func (v *view[T]) get(id uint32) *T {
	if int(id) >= len(v.values) {
		v.of.mu.RLock()
		v.values = v.of.values
		v.of.mu.RUnlock()
	}
	return v.values[id]
}
