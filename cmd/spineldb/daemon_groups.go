package main

import (
	"maps"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"

	"github.com/spineldb/warden/adapters/postgres"
	redis "github.com/spineldb/warden/adapters/spineldb"
	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/script"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
	"github.com/spineldb/warden/warden/group"
	"github.com/spineldb/warden/warden/shell"
)

// dressed is an adapter with what it was made for, so that a change of other
// settings keeps it and its connections.
type dressed struct {
	adapter warden.Adapter
	clothes clothes
}

// clothes are what an adapter is made of.
type clothes struct {
	kind     string
	user     string
	password config.Secret
	renames  map[string]string
	postgres config.Postgres
}

// groups are a setup's groups as the shell wants them. Calls come one at a
// time: at the start, and from the steward.
func (d *daemon) groups(s setup) []shell.GroupOptions {
	out := make([]shell.GroupOptions, 0, len(s.Masters))
	client := net.JoinHostPort(s.AnnounceHost(), strconv.Itoa(s.AnnouncePort))
	d.loads++
	timers, point := d.steward.given(), d.steward.crashPoint()
	if point == "" {
		point = os.Getenv("WARDEN_CRASH_POINT")
	}
	for _, m := range s.Masters {
		g := group.Config{
			Group: m.Name, Client: client, Primary: m.Primary, Nodes: m.Nodes, Tags: wishes(m.Tags), Keeps: m.Adapter == config.AdapterPostgres, Quorum: m.Quorum, Wardens: m.Wardens,
			Alone:     m.Quorum == 1 && len(s.Join) == 0 && m.Wardens <= 1 && m.Expected <= 1,
			DownAfter: m.DownAfter, CrashAfter: m.CrashAfter, FailoverTimeout: max(m.FailoverTimeout, m.DownAfter), HelloInterval: m.HelloInterval,
			FailoverCooldown: m.FailoverCooldown, ParallelSyncs: m.ParallelSyncs, ReplicaWitness: m.ReplicaWitness,
			TrustsMet: s.DropIn, PriorityFirst: s.DropIn, SentinelLife: s.DropIn, RebootDownAfter: m.RebootDownAfter, Expected: m.Expected,
			LookEvery: millis(timers, timerPing), TiltTrigger: millis(timers, timerTrigger),
			TiltPeriod: millis(timers, timerTilt), ElectionTimeout: millis(timers, timerElection),
			Policy: failover.Policy{
				// Clients of PostgreSQL give up at a server that takes no writes yet.
				NameConfirmed: m.Adapter == config.AdapterPostgres,
				Durable:       m.Durable, SyncStandbys: m.SyncStandbys, SyncGroupSize: m.SyncGroupSize, MemberTimeout: m.MemberTimeout,
				SyncStrict: m.SyncStrict, MaxLag: m.MaxLag, FenceCommand: m.FenceCommand != nil, RejoinCommand: m.RejoinCommand != nil,
				FenceRequired: m.FenceRequired, CommandTimeout: m.CommandTimeout, RejoinTimeout: m.RejoinTimeout,
				PrePromote: m.Hooks.PrePromote != nil, PrePromoteTimeout: m.Hooks.PrePromoteTimeout,
			},
			Load: d.loads, CrashPoint: point,
		}
		if every := millis(timers, timerPublish); every > 0 {
			g.HelloInterval = every
		}
		out = append(out, shell.GroupOptions{Config: g, Adapter: d.adapter(m), Commands: d.commands(m), Known: m.Known, Floor: m.Floor})
	}
	return out
}

// wishes are the tags of a file as the mind wants them, sorted by node.
func wishes(tags map[warden.NodeID]config.Tags) []warden.NodeTags {
	var out []warden.NodeTags
	for _, node := range slices.Sorted(maps.Keys(tags)) {
		if t := tags[node].Wishes(); t != (warden.Tags{}) {
			out = append(out, warden.NodeTags{Node: node, Tags: t})
		}
	}
	return out
}

// adapter is the group's adapter, made anew only when what it is made of has
// changed.
func (d *daemon) adapter(m config.Master) warden.Adapter {
	wanted := clothes{m.Adapter, m.AuthUser, m.AuthPassword, m.Renames, m.Postgres}
	have, ok := d.adapters[m.Name]
	if !ok || !reflect.DeepEqual(have.clothes, wanted) {
		wanted.renames = maps.Clone(m.Renames)
		have = dressed{d.bare(wanted), wanted}
		d.adapters[m.Name] = have
	}
	return have.adapter
}

// bare makes an adapter.
func (d *daemon) bare(c clothes) warden.Adapter {
	if c.kind == config.AdapterPostgres {
		p := c.postgres
		return postgres.New(postgres.Options{
			User: c.user, Password: string(c.password), Passfile: p.Passfile, Database: p.Database,
			SSLMode: p.SSLMode, SSLRootCert: p.SSLRootCert, SSLCert: p.SSLCert, SSLKey: p.SSLKey,
			ReplicationUser: p.ReplicationUser, ReplicationPassword: string(p.ReplicationPassword), ReplicationPassfile: p.ReplicationPassfile,
			Logger: d.log,
		})
	}
	o := redis.Options{User: c.user, Password: string(c.password), Renames: c.renames, Source: d.source, Logger: d.log}
	if d.nodesByTLS {
		o.TLS = d.certificates.Client()
	}
	return redis.New(o)
}

// commands are the operator's programs for a group, nil where there are none.
func (d *daemon) commands(m config.Master) warden.Commands {
	if m.FenceCommand == nil && m.RejoinCommand == nil && m.Hooks.PrePromote == nil {
		return nil // and not a pointer that is nil
	}
	return script.NewCommands(script.CommandOptions{Fence: m.FenceCommand, Rejoin: m.RejoinCommand, PrePromote: m.Hooks.PrePromote, Logger: d.log})
}
