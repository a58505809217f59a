package script

import (
	"slices"
	"time"

	"github.com/spineldb/warden/warden"
)

// Role is what a Warden was in a change of the primary.
type Role string

// The roles that a client-reconfig-script is told.
const (
	// Leader: this Warden made the change. The script runs at the promotion,
	// before other replicas are moved.
	Leader Role = "leader"
	// Observer: it learned of the change from another.
	Observer Role = "observer"
)

// untold are warnings that call no script: those of the Warden as a whole, and
// those about scripts, which would call themselves for ever.
var untold = []string{"+tilt", "-tilt", "-script-error", "-script-timeout"}

// Notifies reports whether an event calls the notification script of its
// group: warnings that are about the group or one of its instances do.
func Notifies(e warden.Event) bool {
	return e.Level == warden.LevelWarning && e.Group != "" && !slices.Contains(untold, e.Name)
}

// Notify has a group's notification script called for an event, if Notifies
// says that this event calls it and path is not empty. It does not wait.
func (r *Runner) Notify(path string, e warden.Event) {
	if path != "" && Notifies(e) {
		r.add(path, e.Name, e.Payload)
	}
}

// Reconfigure has a group's client-reconfig-script called for a change of the
// primary, if path is not empty. It does not wait.
func (r *Runner) Reconfigure(path string, group warden.GroupName, role Role, from, to warden.NodeID) {
	if path != "" {
		// The state is always "start": Sentinel knows no other any more.
		r.add(path, string(group), string(role), "start", from.Host(), from.Port(), to.Host(), to.Port())
	}
}

// Job is a script that runs or waits.
type Job struct {
	Args    []string
	Running bool
	// PID is 0 while it waits.
	PID int
	// RunTime is for how long it runs. RunDelay is in how long it is due, 0 for
	// one that waits for room.
	RunTime, RunDelay time.Duration
	// Retries is how many runs have begun, the present one included. Sentinel
	// counts so, and calls it retry-num.
	Retries int
}

// Pending are all scripts that run or wait, the oldest first.
func (r *Runner) Pending() []Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	out := make([]Job, 0, len(r.queue))
	for _, j := range r.queue {
		job := Job{Args: slices.Clone(j.args), Running: j.running, Retries: j.runs}
		if j.cmd != nil {
			job.PID = j.cmd.Process.Pid
		}
		if j.running {
			job.RunTime = now.Sub(j.since)
		} else {
			job.RunDelay = max(0, j.since.Sub(now))
		}
		out = append(out, job)
	}
	return out
}
