package config

import (
	"maps"

	"github.com/spineldb/warden/warden"
)

// Names of hooks: of what happens to a group, and of what happens to this Warden.
const (
	HookRoleChange = "on_role_change"
	HookFailover   = "on_failover"
	HookSwitchover = "on_switchover"
	HookJoin       = "on_node_join"
	HookRemove     = "on_node_remove"
	HookRejoin     = "on_node_rejoin"
	HookStart      = "on_start"
	HookStop       = "on_stop"
)

func groupHooks() []string {
	return []string{HookRoleChange, HookFailover, HookSwitchover, HookJoin, HookRemove, HookRejoin}
}

const (
	defaultHookTimeout    = 30 * warden.Second
	defaultHookRetries    = 3
	maxHookRetries        = 10
	defaultPrePromoteTime = 5 * warden.Second
	minHookTimeout        = minCommandTimeout
	// questions is how many times pre_promote may use up its time within one
	// failover_timeout at least.
	questions = 2
)

// Hooks are an operator's programs that are told of what happened, or asked
// before it.
type Hooks struct {
	// Commands are programs with their arguments, by the name of the hook.
	Commands map[string][]string
	// Timeout is after how long one is killed, and Retries is how often one that
	// failed is run again.
	Timeout warden.Duration
	Retries int
	// PrePromote says whether a node may be promoted; nil: there is none. It is
	// killed after PrePromoteTimeout, which counts as a no.
	PrePromote        []string
	PrePromoteTimeout warden.Duration
}

// table is the table under a key, nil when there is none. how is how to write it.
func (s *section) table(key, how string) map[string]any {
	switch v := s.get(key).(type) {
	case nil:
	case map[string]any:
		return v
	default:
		s.wrong(key, "is %s, but a table is wanted: write %s and the keys below it", typeName(v), how)
	}
	return nil
}

// loadHooks reads the table [hooks], which counts for every group.
func (l *loader) loadHooks(top *section) Hooks {
	s := l.section("hooks", top.table("hooks", "[hooks]"))
	s.place = "hooks."
	h := Hooks{Timeout: defaultHookTimeout, Retries: defaultHookRetries, PrePromoteTimeout: defaultPrePromoteTime}
	s.readHooks(&h, append(groupHooks(), HookStart, HookStop))
	s.finish(append(masterKeys(), topKeys()...), "out of [hooks]")
	return h
}

// hooks reads the table hooks of a group: each key there takes the place of the
// one in [hooks]. An empty list is no program.
func (s *section) hooks(general Hooks, m Master) Hooks {
	h := general
	h.Commands = maps.Clone(general.Commands)
	t := s.l.section(under(s.path, "hooks"), s.table("hooks", "[masters.hooks]"))
	t.group, t.place = s.group, "hooks."
	t.readHooks(&h, groupHooks())
	for _, key := range []string{HookStart, HookStop} {
		delete(h.Commands, key)
		if t.has(key) {
			t.known = append(t.known, key)
			t.wrong(key, "is about this Warden and not about a group: move it to [hooks]")
		}
	}
	t.finish(append(masterKeys(), topKeys()...), "out of [masters.hooks]")
	if len(h.Commands) == 0 {
		h.Commands = nil
	}
	if h.PrePromote != nil && !t.failed["pre_promote_timeout"] && !s.failed["failover_timeout"] && questions*h.PrePromoteTimeout > m.FailoverTimeout {
		s.wrong("hooks", "pre_promote_timeout is %s, but must be at most half of failover_timeout (%s), or a failover would be given up before a second node is asked about: lower it, or raise failover_timeout", h.PrePromoteTimeout, m.FailoverTimeout)
	}
	return h
}

// readHooks reads the keys of a table of hooks over what h says already.
func (s *section) readHooks(h *Hooks, names []string) {
	for _, name := range names {
		switch words, none := s.program(name); {
		case none:
			delete(h.Commands, name)
		case words != nil:
			if h.Commands == nil {
				h.Commands = map[string][]string{}
			}
			h.Commands[name] = words
		}
	}
	if words, none := s.program("pre_promote"); none || words != nil {
		h.PrePromote = words
	}
	h.Timeout = s.span("timeout", h.Timeout, minHookTimeout)
	h.Retries = s.whole("retries", h.Retries, 0, maxHookRetries, "it is how often a hook that failed is run again")
	h.PrePromoteTimeout = s.span("pre_promote_timeout", h.PrePromoteTimeout, minHookTimeout)
}

// program is command, or none where an empty list says so.
func (s *section) program(key string) (words []string, none bool) {
	if list, isList := s.values[key].([]any); isList && len(list) == 0 {
		s.get(key)
		return nil, !s.failed[key]
	}
	return s.command(key), false
}
