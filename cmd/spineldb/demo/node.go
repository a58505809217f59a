package demo

import (
	"context"

	"github.com/spineldb/warden/adapters/embeddednode"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/warden"
)

// nodeWord makes `spineldb demo` one embedded node instead of the demo:
//
//	spineldb demo node ADDRESS STATE-FILE [UPSTREAM]
//
// It is not in the help, because it is of no use to people.
const nodeWord = "node"

// runNode runs one embedded node until ctx ends.
func runNode(ctx context.Context, args []string) error {
	if len(args) < 2 || len(args) > 3 {
		return exit.WrongUsage("demo node needs ADDRESS STATE-FILE [UPSTREAM]")
	}
	o := embeddednode.Options{Addr: args[0], StateFile: args[1]}
	if len(args) == 3 {
		o.ReplicaOf = warden.NodeID(args[2])
	}
	n, err := embeddednode.New(o)
	if err != nil {
		return err
	}
	return n.Run(ctx)
}
