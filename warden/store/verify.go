package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// verify walks the structure of a bbolt file with plain reads before the
// library maps it. The library trusts its pages: on damaged ones it panics,
// faults, or runs in circles, and where one of its two head pages is bad it
// silently goes back to the other one, that is to the state before the last
// commit. A Warden must not go back: it would forget its last vote. So both
// heads must be good and consecutive here, every page must be what the page
// above it says it is, and no page may be used twice.
//
// The layout is bbolt's (version 2), integers in the order of this machine:
//
//	page    id u64, flags u16, count u16, overflow u32, then elements
//	head    magic u32, version u32, page size u32, flags u32, root u64,
//	        sequence u64, freelist u64, end u64, commit u64, fnv-1a u64
//	branch  per element: position u32, key length u32, page u64
//	leaf    per element: flags u32, position u32, key length u32, value length u32
//	bucket  a leaf value: root page u64 (0: the page follows inline), sequence u64
//
// Errors wrap ErrDamaged. Only the head and the pages in use are read.
func verify(f *os.File) error {
	w := walk{file: f}
	if err := w.run(); err != nil {
		return fmt.Errorf("the file is %w: %w", ErrDamaged, err)
	}
	return nil
}

const (
	pageHead    = 16
	elementSize = 16
	bucketHead  = 16
	headLength  = 64 // of a head, checksum included
	magic       = 0xED0CDAED
	version     = 2
	noFreelist  = ^uint64(0)

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagHead     = 0x04
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf element

	maxPageSize = 64 << 10
	maxDepth    = 64
)

var order = binary.NativeEndian

type walk struct {
	file     *os.File
	pageSize uint64
	end      uint64 // first page that was never used
	used     map[uint64]bool
}

// span is what the keys below a page must keep to: from low on, below high.
type span struct{ low, high []byte }

// next checks the key that follows before on a page, nil at the first one.
func (s span) next(before, key []byte) bool {
	return bytes.Compare(key, s.low) >= 0 && (s.high == nil || bytes.Compare(key, s.high) < 0) &&
		(before == nil || bytes.Compare(key, before) > 0)
}

type head struct{ root, freelist, end, commit uint64 }

func (w *walk) run() error {
	info, err := w.file.Stat()
	if err != nil {
		return fmt.Errorf("look at file: %w", err)
	}
	size := uint64(info.Size())
	first := make([]byte, pageHead+headLength)
	if _, err := w.file.ReadAt(first, 0); err != nil {
		return fmt.Errorf("it is only %d bytes long", size)
	}
	w.pageSize = uint64(order.Uint32(first[pageHead+8:]))
	if w.pageSize < 1024 || w.pageSize > maxPageSize || w.pageSize&(w.pageSize-1) != 0 {
		return fmt.Errorf("the first page is not one of a store")
	}
	a, err := w.head(0)
	if err != nil {
		return err
	}
	b, err := w.head(1)
	if err != nil {
		return err
	}
	if a.commit != b.commit+1 && b.commit != a.commit+1 {
		return fmt.Errorf("its two heads are of commits %d and %d, which do not follow one another", a.commit, b.commit)
	}
	if b.commit > a.commit {
		a = b
	}
	if a.end > size/w.pageSize {
		return fmt.Errorf("it is cut short: %d bytes long, %d are in use", size, a.end*w.pageSize)
	}
	w.end, w.used = a.end, map[uint64]bool{0: true, 1: true}
	if err := w.tree(a.root, span{}, 0); err != nil {
		return err
	}
	return w.freelist(a.freelist)
}

func (w *walk) head(id uint64) (head, error) {
	page := make([]byte, pageHead+headLength)
	if _, err := w.file.ReadAt(page, int64(id*w.pageSize)); err != nil {
		return head{}, fmt.Errorf("read head %d: %w", id, err)
	}
	body := page[pageHead:]
	sum := fnv.New64a()
	_, _ = sum.Write(body[:headLength-8])
	switch {
	case order.Uint64(page) != id || order.Uint16(page[8:]) != flagHead:
		return head{}, fmt.Errorf("page %d is not a head", id)
	case order.Uint32(body) != magic || order.Uint32(body[4:]) != version:
		return head{}, fmt.Errorf("head %d is not of a store of version %d", id, version)
	case uint64(order.Uint32(body[8:])) != w.pageSize:
		return head{}, fmt.Errorf("head %d has another page size", id)
	case order.Uint64(body[headLength-8:]) != sum.Sum64():
		return head{}, fmt.Errorf("the checksum of head %d does not match", id)
	}
	return head{
		root: order.Uint64(body[16:]), freelist: order.Uint64(body[32:]),
		end: order.Uint64(body[40:]), commit: order.Uint64(body[48:]),
	}, nil
}

// page reads one page with its overflow and marks it as used.
func (w *walk) page(id uint64) ([]byte, error) {
	if id < 2 || id >= w.end {
		return nil, fmt.Errorf("page %d is outside of pages 2 to %d", id, w.end)
	}
	start := make([]byte, pageHead)
	if _, err := w.file.ReadAt(start, int64(id*w.pageSize)); err != nil {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	if got := order.Uint64(start); got != id {
		return nil, fmt.Errorf("page %d says it is page %d", id, got)
	}
	last := id + uint64(order.Uint32(start[12:]))
	if last >= w.end {
		return nil, fmt.Errorf("page %d runs on to page %d of %d", id, last, w.end)
	}
	for p := id; p <= last; p++ {
		if w.used[p] {
			return nil, fmt.Errorf("page %d is used twice", p)
		}
		w.used[p] = true
	}
	whole := make([]byte, (last-id+1)*w.pageSize)
	if _, err := w.file.ReadAt(whole, int64(id*w.pageSize)); err != nil && err != io.EOF {
		return nil, fmt.Errorf("read page %d: %w", id, err)
	}
	return whole, nil
}

// tree checks a page and everything below it.
func (w *walk) tree(id uint64, keys span, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("page %d is more than %d pages deep", id, maxDepth)
	}
	page, err := w.page(id)
	if err != nil {
		return err
	}
	switch order.Uint16(page[8:]) {
	case flagLeaf:
		return w.leaf(id, page, keys, depth)
	case flagBranch:
		return w.branch(id, page, keys, depth)
	}
	return fmt.Errorf("page %d is neither branch nor leaf", id)
}

func (w *walk) branch(id uint64, page []byte, keys span, depth int) error {
	count := int(order.Uint16(page[10:]))
	if count == 0 {
		return fmt.Errorf("branch page %d is empty", id)
	}
	starts, below := make([][]byte, count+1), make([]uint64, count)
	var before []byte
	for i := range count {
		at := pageHead + i*elementSize
		if at+elementSize > len(page) {
			return fmt.Errorf("page %d has %d elements, too many", id, count)
		}
		key, err := slice(page, at, order.Uint32(page[at:]), order.Uint32(page[at+4:]))
		if err != nil || !keys.next(before, key) {
			return fmt.Errorf("page %d: key %d is out of bounds or order", id, i)
		}
		before, starts[i], below[i] = key, key, order.Uint64(page[at+8:])
	}
	starts[count] = keys.high
	for i, child := range below {
		if err := w.tree(child, span{low: starts[i], high: starts[i+1]}, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) leaf(id uint64, page []byte, keys span, depth int) error {
	count := int(order.Uint16(page[10:]))
	var before []byte
	for i := range count {
		at := pageHead + i*elementSize
		if at+elementSize > len(page) {
			return fmt.Errorf("page %d has %d elements, too many", id, count)
		}
		flags, position := order.Uint32(page[at:]), order.Uint32(page[at+4:])
		keyLength, valueLength := order.Uint32(page[at+8:]), order.Uint32(page[at+12:])
		key, err := slice(page, at, position, keyLength)
		if err != nil || !keys.next(before, key) {
			return fmt.Errorf("page %d: key %d is out of bounds or order", id, i)
		}
		before = key
		value, err := slice(page, at+int(keyLength), position, valueLength)
		if err != nil {
			return fmt.Errorf("page %d: value %d is out of bounds", id, i)
		}
		switch flags {
		case 0:
		case flagBucket:
			if err := w.bucket(id, value, depth); err != nil {
				return err
			}
		default:
			return fmt.Errorf("page %d: element %d is of an unknown kind", id, i)
		}
	}
	return nil
}

// bucket checks a bucket inside a leaf value.
func (w *walk) bucket(id uint64, value []byte, depth int) error {
	if len(value) < bucketHead || depth > maxDepth {
		return fmt.Errorf("page %d: a bucket is too short or too deep", id)
	}
	if root := order.Uint64(value); root != 0 {
		return w.tree(root, span{}, depth+1)
	}
	inline := value[bucketHead:]
	if len(inline) < pageHead || order.Uint64(inline) != 0 || order.Uint16(inline[8:]) != flagLeaf {
		return fmt.Errorf("page %d: an inline bucket is not a leaf", id)
	}
	return w.leaf(id, inline, span{}, depth+1)
}

// freelist checks the list of free pages, which we do not write ourselves but
// a tool of bbolt may have.
func (w *walk) freelist(id uint64) error {
	if id == noFreelist {
		return nil
	}
	page, err := w.page(id)
	if err != nil {
		return err
	}
	if order.Uint16(page[8:]) != flagFreelist {
		return fmt.Errorf("page %d is not a list of free pages", id)
	}
	count, at := int(order.Uint16(page[10:])), pageHead
	if count == 0xFFFF {
		count, at = int(order.Uint64(page[at:])), at+8
	}
	if count < 0 || count > (len(page)-at)/8 {
		return fmt.Errorf("the list of free pages has %d entries, too many", count)
	}
	for i := range count {
		free := order.Uint64(page[at+8*i:])
		if free < 2 || free >= w.end || w.used[free] {
			return fmt.Errorf("page %d is listed as free and is not", free)
		}
		w.used[free] = true
	}
	return nil
}

// slice is page[at+position:][:length], checked.
func slice(page []byte, at int, position, length uint32) ([]byte, error) {
	from := uint64(at) + uint64(position)
	to := from + uint64(length)
	if to > uint64(len(page)) {
		return nil, fmt.Errorf("out of bounds")
	}
	return page[from:to], nil
}
