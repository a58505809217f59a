package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/postgreslab"
	"github.com/spineldb/warden/docs/examples"
	"github.com/spineldb/warden/warden"
)

// enginePostgres is real PostgreSQL in streaming replication: A is the primary,
// the others are its standbys, all copies of one cluster.
const enginePostgres = "postgres"

// preparePostgres finds PostgreSQL and makes the nodes.
func (c *cast) preparePostgres(ctx context.Context) error {
	lab, err := postgreslab.Open(ctx, postgreslab.Options{SQL: postgreslab.Table})
	if err != nil {
		return exit.With(exit.Refused, "demo: %v; --engine embedded needs nothing", err)
	}
	c.postgres = lab
	// SQL cannot make the old primary a standby; the example script can.
	if err := os.WriteFile(c.rejoinScript(), examples.Rejoin, 0o700); err != nil {
		return fmt.Errorf("write the rejoin script: %w", err)
	}
	for _, n := range c.nodes {
		upstream := warden.NodeID("")
		if n != c.nodes[0] {
			upstream = c.nodes[0].addr
		}
		if n.server, err = lab.Server(ctx, n.name, n.addr, upstream, postgreslab.Superuser); err != nil {
			return fmt.Errorf("prepare node %s: %w", n.name, err)
		}
	}
	return nil
}

func (c *cast) rejoinScript() string { return filepath.Join(c.dir, "rejoin.sh") }

// postgresLines are further lines of the group.
func (c *cast) postgresLines() string {
	var others []string
	for _, n := range c.nodes[1:] {
		others = append(others, strconv.Quote(string(n.addr)))
	}
	var rejoin []string
	for _, word := range c.postgres.Rejoin(c.rejoinScript()) {
		rejoin = append(rejoin, strconv.Quote(word))
	}
	return fmt.Sprintf("adapter = %q\nauth_user = %q\nreplication_user = %[2]q\nsslmode = \"disable\"\nnodes = [%s]\n"+
		"rejoin_command = [%s]\nrejoin_timeout = \"20s\"\n",
		enginePostgres, postgreslab.Superuser, strings.Join(others, ", "), strings.Join(rejoin, ", "))
}
