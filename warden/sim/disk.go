package sim

import "github.com/spineldb/warden/warden"

// disk is what one Warden's store keeps. A write is all or nothing and has
// happened when write returns; what a crash loses is only what was never
// written. A sabotaged disk may keep less.
type disk struct {
	kept    warden.Register
	earlier warden.Register
	wroteAt warden.Instant
	writes  int
	failing bool
	// runs counts the starts of the process, in the same store.
	runs warden.Run
}

func (d *disk) write(r warden.Register, now warden.Instant) {
	d.earlier, d.kept = d.kept, r.Clone()
	d.wroteAt = now
	d.writes++
}
