// Package archive keeps the recent past of one Warden on disk: what happened
// (Events) and what became of every failover (Reports).
//
//	data_dir/                 0700
//	    events.log            0600, the newest events
//	    events.log.1          those before
//	    reports/GROUP.log     the newest reports of a group, and .1 as above
//
// Nothing depends on these files, and nobody waits for them: what is to be kept
// goes into a bounded queue, and one goroutine writes what has gathered there. A
// disk that is full or slow loses a part of the past, with one warning, and never
// holds a Warden up. For the same reason nothing is synced before the end: a
// process that is killed loses the last tenth of a second, a machine that loses
// its power some seconds.
//
// Each line is a checksum and a JSON object. A file is only ever appended to; once
// it holds half of what is kept it takes the place of the older one, which is gone.
// A last line that was cut off is dropped. Any other line that cannot be read is
// damage: the file is set aside, and what can be read of it is kept.
package archive
