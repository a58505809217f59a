package metrics

import (
	"slices"

	"github.com/spineldb/warden/warden"
)

// otherEvent counts events whose names are not in the list, so that the number of
// series is bounded whatever is announced.
const otherEvent = "other"

// eventNames are the events that are counted by name: those of
// docs/operations.md, and what changes at run time and scripts say.
var eventNames = []string{
	"+beside-sentinels", "-beside-sentinels", "+birth-dead", "+birth-resumed", "-config-ignored", "+config-update-from", "+convert-to-slave",
	"+elected-leader", "-failover-abort", "-failover-abort-master-timeout", "-failover-abort-no-good-slave", "-failover-abort-not-elected",
	"-failover-abort-slave-timeout", "-failover-abort-timeout", "+failover-end", "+failover-end-for-timeout", "-failover-flapping",
	"+failover-state-reconf-slaves", "+failover-state-select-slave", "+failover-state-send-slaveof-noone", "+failover-state-wait-promotion",
	"-fence-failed", "+fenced", "+first-agreement", "+fix-slave-config", "-foreign-node", "-hook-dropped", "-hook-failed", "-id-conflict", "-leader-lost", "+monitor", "-monitor",
	"+needs-rejoin", "-needs-rejoin", "+new-connections", "-new-connections", "+new-epoch", "-newer-format", "-node-denied", "-not-elected", "+odown",
	"-odown", "+odown-veto", "-order-note", "+paused", "-primary-conflict", "+promoted-slave", "-promotion-vetoed", "-proposal-refused", "+reboot", "-register-conflict",
	"+rejoin-done", "-rejoin-failed", "+rejoin-started", "+reset-master", "+resumed", "+role-change", "-role-change", "-script-error",
	"-script-timeout", "+sdown", "-sdown", "-seal-failed", "+selected-slave", "+sentinel", "+sentinel-address-switch", "+sentinel-address-update",
	"+sentinel-invalid-addr", "+set", "+settings", "+slave", "+slave-reconf-done", "-slave-reconf-failed", "+slave-reconf-inprog", "+slave-reconf-sent",
	"+slave-reconf-sent-be", "-slave-reconf-sent-timeout", "-store-failed", "+store-works", "-superseded", "+switch-master", "-sync-degraded",
	"-sync-names-changed", "+sync-set", "+tilt", "-tilt", "+try-failover", "+vote-for-leader", "+warden-forgotten", "+warden-joined", "+would-adopt",
	"+would-failover", "+would-repair", "+would-resume", "+would-sync-set", "-webhook-dropped", "-webhook-failed",
}

// Observe takes in an event, after the directory shows the state that it brought
// about. It never blocks.
func (m *Metrics) Observe(e warden.Event) {
	name, group := e.Name, string(e.Group)
	if !slices.Contains(eventNames, name) {
		name = otherEvent
	}
	m.events.WithLabelValues(group, name).Inc()
	switch name {
	case "+vote-for-leader":
		m.votes.WithLabelValues(group).Inc()
	case "+elected-leader":
		m.elections.WithLabelValues(group, "elected").Inc()
	case "-failover-abort-not-elected", "-not-elected":
		m.elections.WithLabelValues(group, "not_elected").Inc()
	case "-leader-lost":
		m.elections.WithLabelValues(group, "lost").Inc()
	case "+switch-master":
		m.switches.WithLabelValues(group).Inc()
	}
	m.attempts.take(m, e)
}
