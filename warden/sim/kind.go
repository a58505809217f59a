package sim

import (
	"math/rand/v2"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// Kind is the kind of databases that a world has.
type Kind uint8

// Kinds. KindDrawn lets the seed decide: half of the worlds are of Redis, a
// quarter each of PostgreSQL without and with quorum durability. KindAppend is never
// drawn: Redis with append-only files, whose servers draw a new replication id, and
// count their positions from 0, at each start.
const (
	KindDrawn Kind = iota
	KindRedis
	KindPostgres
	KindQuorum
	KindAppend
)

var kindNames = map[string]Kind{"redis": KindRedis, "postgres": KindPostgres, "quorum": KindQuorum, "append": KindAppend}

// postgres reports whether the databases are PostgreSQL.
func (k Kind) postgres() bool { return k == KindPostgres || k == KindQuorum }

// fate is what a seed decides about databases. It has chance of its own, so
// that what was drawn for Redis before stays what it was.
func fate(o Options) (Kind, *rand.Rand) {
	rng := rand.New(rand.NewPCG(o.Seed, 0xda7aba5e))
	drawn := []Kind{KindRedis, KindRedis, KindPostgres, KindQuorum}[rng.IntN(4)]
	if o.Kind != KindDrawn {
		drawn = o.Kind
	}
	return drawn, rng
}

// postgresConfig draws what only groups of PostgreSQL are configured with.
func postgresConfig(k Kind, rng *rand.Rand, c *group.Config) {
	if !k.postgres() {
		return
	}
	c.NameConfirmed, c.Keeps = true, true
	c.CommandTimeout, c.RejoinTimeout = 5*warden.Second, 5*warden.Second
	c.RejoinCommand = rng.IntN(3) != 0
	c.FenceCommand = rng.IntN(4) == 0
	c.FenceRequired = c.FenceCommand && rng.IntN(3) == 0
	if k == KindPostgres && rng.IntN(4) == 0 {
		c.MaxLag = 1 << 20
	}
	if k != KindQuorum {
		return
	}
	c.Durable = true
	c.SyncStandbys = 1 + rng.IntN(2)
	c.SyncStrict = rng.IntN(2) == 0
	c.MemberTimeout = warden.Duration(1+rng.IntN(5)) * warden.Second
	if rng.IntN(4) == 0 {
		c.SyncGroupSize = 1 + rng.IntN(3)
	}
}
