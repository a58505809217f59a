// Package store keeps what one Warden must not forget: its identity, the
// number of its run, every group's register, the addresses of its peers, and
// the highest epoch that is written down elsewhere.
//
//	data_dir/            0700
//	    warden.db        0600, a bbolt file, locked while a Warden runs
//	    warden.db.new    only while a first start is being prepared
//
// A register that was saved is on disk before SaveRegister returns (promise
// S1). Saves of different groups that wait at the same moment share one
// commit, so the price of a sync is paid once.
//
// The file is never repaired and never created anew when it is damaged:
// a Warden that forgot its votes and kept its name could vote twice. The file
// is therefore checked at every start, structure first (verify.go), then every
// record against its own checksum (codec.go), and the list of groups against
// the roster. An operator who moves a damaged file away gets a new Warden with
// a new name, which joins as a newcomer.
package store
