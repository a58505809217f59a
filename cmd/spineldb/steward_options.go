package main

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// Options of SENTINEL SET that more than one place names.
const (
	optionDown         = "down-after-milliseconds"
	optionTimeout      = "failover-timeout"
	optionNotification = "notification-script"
	optionReconfig     = "client-reconfig-script"
	optionPassword     = "auth-pass"
	optionRename       = "rename-command"
)

func isScript(option string) bool {
	return option == optionNotification || option == optionReconfig
}

// newMaster is a group with Sentinel's defaults, of which given may name
// others (see steward.given).
func newMaster(name warden.GroupName, primary warden.NodeID, quorum int, given map[string]int64) config.Master {
	m := config.Master{
		Name: name, Primary: primary, Quorum: quorum, Adapter: "spineldb", ReplicaWitness: true, ParallelSyncs: 1,
		DownAfter: 30 * warden.Second, FailoverTimeout: 3 * warden.Minute, HelloInterval: 2 * warden.Second,
	}
	if ms, ok := given[timerDown]; ok {
		m.DownAfter = warden.Duration(ms) * warden.Millisecond
	}
	if ms, ok := given[timerTimeout]; ok {
		m.FailoverTimeout = warden.Duration(ms) * warden.Millisecond
	}
	m.CrashAfter = m.DownAfter
	return m
}

// applyOption changes one option of a group. The number of values has been
// checked, and where it fails it says so in Sentinel's words.
func applyOption(m *config.Master, o resp.Setting) error {
	if len(o.Values) == 0 || o.Name == optionRename && len(o.Values) != 2 {
		return resp.Refusal{Text: fmt.Sprintf("ERR Unknown option or number of arguments for SENTINEL SET '%s'", o.Name)}
	}
	value := o.Values[0]
	wrong := resp.Refusal{Text: fmt.Sprintf("ERR Invalid argument '%s' for SENTINEL SET '%s'", value, o.Name)}
	n, err := strconv.ParseInt(value, 10, 64)
	number := err == nil && n >= 0 && n <= maxMilliseconds
	span := warden.Duration(n) * warden.Millisecond
	switch o.Name {
	case optionDown:
		if !number || n == 0 {
			return wrong
		}
		span = max(span, config.MinDownAfter)
		// Unless it was set apart, the limit for refused connections goes with
		// the one for silence.
		if m.CrashAfter == m.DownAfter || m.CrashAfter > span {
			m.CrashAfter = span
		}
		m.DownAfter = span
	case optionTimeout:
		if !number || n == 0 {
			return wrong
		}
		m.FailoverTimeout = span
	case "parallel-syncs", "quorum":
		if !number || n == 0 || n > maxCount {
			return wrong
		}
		if o.Name == "quorum" {
			m.Quorum = int(n)
		} else {
			m.ParallelSyncs = int(n)
		}
	case "master-reboot-down-after-period", "primary-reboot-down-after-period":
		if !number {
			return wrong
		}
		m.RebootDownAfter = span
	case "auth-user":
		m.AuthUser = value
	case optionPassword:
		m.AuthPassword = config.Secret(value)
	case optionNotification, optionReconfig:
		return applyScript(m, o.Name, value)
	case optionRename:
		if m.Adapter == config.AdapterPostgres {
			return resp.Refusal{Text: "ERR '" + optionRename + "' is for servers of the Redis protocol"}
		}
		return applyRename(m, value, o.Values[1])
	default:
		return resp.Refusal{Text: fmt.Sprintf("ERR Unknown option or number of arguments for SENTINEL SET '%s'", o.Name)}
	}
	return nil
}

const (
	// maxMilliseconds keeps spans of time far from the end of 64 bits.
	maxMilliseconds = int64(1) << 42
	maxCount        = 1 << 30
)

// applyScript names a script that has to exist, or none.
func applyScript(m *config.Master, option, path string) error {
	if path != "" {
		if info, err := os.Stat(path); err != nil || !executable(info) {
			who := "Notification"
			if option == optionReconfig {
				who = "Client reconfiguration"
			}
			return resp.Refusal{Text: "ERR " + who + " script seems non existing or non executable"}
		}
	}
	if option == optionNotification {
		m.NotificationScript = path
	} else {
		m.ReconfigScript = path
	}
	return nil
}

func executable(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// applyRename notes under which name the nodes know a command. The usual name
// given again takes the note away.
func applyRename(m *config.Master, usual, given string) error {
	key := upper(usual)
	if usual == "" || given == "" {
		empty := usual
		if usual != "" {
			empty = given
		}
		return resp.Refusal{Text: fmt.Sprintf("ERR Invalid argument '%s' for SENTINEL SET '%s'", empty, optionRename)}
	}
	if upper(given) == key {
		delete(m.Renames, key)
		return nil
	}
	if m.Renames == nil {
		m.Renames = map[string]string{}
	}
	m.Renames[key] = given
	return nil
}
