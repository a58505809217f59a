package main

import (
	"maps"
	"net"
	"os"
	"strconv"

	redis "github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
	"github.com/spineldb/warden/warden/shell"
)

// dressed is an adapter with what it was made for, so that a change of other
// settings keeps it and its connections.
type dressed struct {
	adapter  *redis.Adapter
	user     string
	password config.Secret
	renames  map[string]string
}

// groups are a setup's groups as the shell wants them. Calls come one at a
// time: at the start, and from the steward.
func (d *daemon) groups(s setup) []shell.GroupOptions {
	out := make([]shell.GroupOptions, 0, len(s.Masters))
	client := net.JoinHostPort(s.AnnounceHost(), strconv.Itoa(s.AnnouncePort))
	timers, point := d.steward.given(), d.steward.crashPoint()
	if point == "" {
		point = os.Getenv("WARDEN_CRASH_POINT")
	}
	for _, m := range s.Masters {
		g := group.Config{
			Group: m.Name, Client: client, Primary: m.Primary, Nodes: m.Nodes, Quorum: m.Quorum, Wardens: m.Wardens,
			Alone:     m.Quorum == 1 && len(s.Join) == 0 && m.Wardens <= 1 && m.Expected <= 1,
			DownAfter: m.DownAfter, CrashAfter: m.CrashAfter, FailoverTimeout: max(m.FailoverTimeout, m.DownAfter), HelloInterval: m.HelloInterval,
			FailoverCooldown: m.FailoverCooldown, ParallelSyncs: m.ParallelSyncs, ReplicaWitness: m.ReplicaWitness,
			PriorityFirst: s.DropIn, SentinelLife: s.DropIn, RebootDownAfter: m.RebootDownAfter, Expected: m.Expected,
			LookEvery: millis(timers, timerPing), TiltTrigger: millis(timers, timerTrigger),
			TiltPeriod: millis(timers, timerTilt), ElectionTimeout: millis(timers, timerElection),
			CrashPoint: point,
		}
		if every := millis(timers, timerPublish); every > 0 {
			g.HelloInterval = every
		}
		out = append(out, shell.GroupOptions{Config: g, Adapter: d.adapter(m), Known: m.Known, Floor: m.Floor})
	}
	return out
}

// adapter is the group's adapter, made anew only for new credentials or names.
func (d *daemon) adapter(m config.Master) warden.Adapter {
	have, ok := d.adapters[m.Name]
	if !ok || have.user != m.AuthUser || have.password != m.AuthPassword || !maps.Equal(have.renames, m.Renames) {
		o := redis.Options{User: m.AuthUser, Password: string(m.AuthPassword), Renames: maps.Clone(m.Renames), Source: d.source, Logger: d.log}
		if d.nodesByTLS {
			o.TLS = d.certificates.Client()
		}
		have = dressed{redis.New(o), m.AuthUser, m.AuthPassword, o.Renames}
		d.adapters[m.Name] = have
	}
	return have.adapter
}
