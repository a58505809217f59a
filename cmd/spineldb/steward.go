package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/journal"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

const (
	// lookupLimit bounds the resolution of a host name that a client gave.
	lookupLimit = 2 * time.Second
	// changeLimit bounds a change at run time: a removed group has to stand.
	changeLimit = 10 * time.Second
)

// steward changes what this Warden is configured with, on behalf of clients.
// It implements resp.Steward; safe for concurrent use. Every change makes a
// new setup, saves it and then runs with it, so that what runs is never ahead
// of what would be found after a restart.
type steward struct {
	keeper keeper
	log    *slog.Logger
	level  *slog.LevelVar
	// reconfigure makes a setup the one that runs, as a whole or not at all.
	reconfigure func(context.Context, setup) error
	announce    func(warden.Event)
	// primary is the served primary of a group.
	primary func(warden.GroupName) (warden.NodeID, bool)
	// agreed are the settings that the Wardens have agreed on.
	agreed  func(warden.GroupName) warden.Settings
	scripts scriptRunner
	quit    func()

	mu  sync.Mutex // one change at a time
	now atomic.Pointer[setup]

	timersMu sync.Mutex
	timers   map[string]int64
	simulate atomic.Int64
}

var _ resp.Steward = (*steward)(nil)

// scriptRunner is what the steward asks and tells the runner of scripts.
type scriptRunner interface {
	Jobs() []resp.ScriptJob
	SetTimers(maxRuntime, retryDelay time.Duration)
}

// current is the setup that runs. Nobody may change it.
func (s *steward) current() setup { return *s.now.Load() }

// change edits the setup, saves it and runs with it. An error means that
// nothing has changed.
func (s *steward) change(ctx context.Context, edit func(*setup) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.current()
	next := old.clone()
	if err := edit(&next); err != nil {
		return err
	}
	if err := s.keeper.Save(next); err != nil {
		s.log.Warn("WARNING: Sentinel was not able to save the new configuration on disk!!!: " + err.Error())
		return resp.ErrNotSaved
	}
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	if err := s.reconfigure(ctx, next); err != nil {
		return errors.Join(err, s.keeper.Save(old))
	}
	s.now.Store(&next)
	if next.Loglevel != old.Loglevel {
		level, _ := journal.ParseLevel(next.Loglevel) // it was checked before
		s.level.Set(level)
	}
	return nil
}

// replace runs with another configuration file's setup, which is on disk
// already.
func (s *steward) replace(ctx context.Context, next setup) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	if err := s.reconfigure(ctx, next); err != nil {
		return err
	}
	s.now.Store(&next)
	return nil
}

// Monitor begins to watch a group. Two groups over one server would order it to
// and fro, so unlike Sentinel one primary has one name.
func (s *steward) Monitor(ctx context.Context, name warden.GroupName, host string, port, quorum int) error {
	if _, err := warden.ParseGroupName(string(name)); err != nil {
		return resp.Refusal{Text: "ERR Invalid master name: " + err.Error()}
	}
	node, err := s.address(ctx, host, port)
	if err != nil {
		return err
	}
	err = s.change(ctx, func(next *setup) error {
		if next.master(name) >= 0 {
			return resp.Refusal{Text: "ERR Duplicate master name."}
		}
		for _, m := range next.Masters {
			if at, _ := s.primary(m.Name); at == node || m.Primary == node {
				return resp.Refusal{Text: fmt.Sprintf("ERR %s is already watched by %s", node, m.Name)}
			}
		}
		next.Masters = append(next.Masters, newMaster(name, node, quorum, s.given()))
		next.Changes.note(name, func(g *groupChanges) { *g = groupChanges{Primary: node, Quorum: quorum} })
		return nil
	})
	if err != nil {
		return err
	}
	s.tell("+monitor", name, node, "quorum "+strconv.Itoa(quorum))
	return nil
}

// address checks the address of a primary as a client gives it.
func (s *steward) address(ctx context.Context, host string, port int) (warden.NodeID, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	} else if !s.current().ResolveNames {
		return "", resp.Refusal{Text: "ERR Invalid IP address or hostname specified"}
	} else {
		ctx, cancel := context.WithTimeout(ctx, lookupLimit)
		defer cancel()
		if found, err := net.DefaultResolver.LookupHost(ctx, host); err != nil || len(found) == 0 {
			return "", resp.Refusal{Text: "ERR Invalid IP address or hostname specified"}
		}
	}
	if port < 1 || port > 65535 {
		return "", resp.Refusal{Text: "ERR Invalid port number."}
	}
	node, err := warden.ParseNode(string(warden.MakeNode(host, port)))
	if err != nil {
		return "", resp.Refusal{Text: "ERR Invalid IP address or hostname specified"}
	}
	return node, nil
}

// Remove ends the watch on a group.
func (s *steward) Remove(ctx context.Context, name warden.GroupName) error {
	node, known := s.primary(name)
	if !known {
		return resp.ErrUnknownGroup
	}
	err := s.change(ctx, func(next *setup) error {
		at := next.master(name)
		if at < 0 {
			return resp.ErrUnknownGroup
		}
		next.Masters = append(next.Masters[:at:at], next.Masters[at+1:]...)
		next.Changes.note(name, func(g *groupChanges) { *g = groupChanges{Removed: true} })
		return nil
	})
	if err != nil {
		return err
	}
	s.tell("-monitor", name, node, "")
	return nil
}

// Set changes options of one group, all or none.
func (s *steward) Set(ctx context.Context, name warden.GroupName, options []resp.Setting) error {
	err := s.change(ctx, func(next *setup) error {
		at := next.master(name)
		if at < 0 {
			return resp.ErrUnknownGroup
		}
		for _, o := range options {
			if isScript(o.Name) && next.DenyScripts {
				return resp.Refusal{Text: "ERR Reconfiguration of scripts path is denied for security reasons. " +
					"Check the deny-scripts-reconfig configuration directive in your Sentinel configuration"}
			}
			if setting := agreedOptions[o.Name]; isAgreed(s.agreed(name), setting) {
				return resp.Refusal{Text: "ERR " + setting + " is agreed on by the Wardens, so that nothing would change: WARDEN CONFIG SET changes it, with UNSET it is as each Warden says"}
			}
			if err := applyOption(&next.Masters[at], o); err != nil {
				return err
			}
			next.Changes.note(name, func(g *groupChanges) { g.set(o) })
		}
		return nil
	})
	if err != nil {
		return err
	}
	node, _ := s.primary(name)
	for _, o := range options {
		values := strings.Join(o.Values, " ")
		if o.Name == optionPassword {
			values = "******"
		}
		s.tell("+set", name, node, o.Name+" "+values)
	}
	return nil
}

// tell announces a change of a group in Sentinel's words.
func (s *steward) tell(event string, name warden.GroupName, node warden.NodeID, extra string) {
	text := fmt.Sprintf("master %s %s %s", name, node.Host(), node.Port())
	if extra != "" {
		text += " " + extra
	}
	s.announce(warden.Event{Group: name, Name: event, Level: warden.LevelWarning, Payload: text, Node: node})
}

// Settings of a group; zero for an unknown one.
func (s *steward) Settings(name warden.GroupName) resp.GroupSettings {
	now := s.now.Load()
	at := now.master(name)
	if at < 0 {
		return resp.GroupSettings{}
	}
	m := now.Masters[at]
	return resp.GroupSettings{NotificationScript: m.NotificationScript, ReconfigScript: m.ReconfigScript}
}

// Flush writes the configuration.
func (s *steward) Flush(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.keeper.Save(s.current()); err != nil {
		s.log.Warn("WARNING: Sentinel was not able to save the new configuration on disk!!!: " + err.Error())
		return resp.ErrNotSaved
	}
	return nil
}

// Scripts that run or wait, the oldest first.
func (s *steward) Scripts() []resp.ScriptJob { return s.scripts.Jobs() }

// Shutdown begins to end the process.
func (s *steward) Shutdown() { s.quit() }
