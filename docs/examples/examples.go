// Package examples carries the scripts of this directory into the program, for
// the demo.
package examples

import _ "embed" // for the scripts

// Rejoin is rejoin.sh, a rejoin_command for PostgreSQL.
//
//go:embed rejoin.sh
var Rejoin []byte
