// Package sentinelconf reads and rewrites sentinel.conf, the configuration file
// of Redis Sentinel and of Valkey's.
//
// The file is two things at once: what an operator wrote, and what the program
// remembers across restarts. Load reads both into a File. File.Config says what
// a Warden makes of it. Render writes a State back: the operator's lines,
// remarks and order stay as they are, a line whose value changed is written
// anew in its place, what is new goes to the end below one remark, and what no
// longer holds vanishes. Save puts the result on the disk so that a crash
// leaves the old file or the new one.
//
// Whatever Redis's program accepts is accepted, with these exceptions, all of
// them things that never worked: numbers that are none, port 0 for a primary,
// group names with characters other than letters, digits, '.', '_' and '-',
// and one primary watched under two names.
package sentinelconf
