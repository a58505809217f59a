package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/discovery/script"
	"github.com/spineldb/warden/warden"
)

// startScripts makes the runner of scripts hear of every event.
func (d *daemon) startScripts() {
	d.scripts = script.New(script.Options{Report: d.say, Logger: d.log})
	d.led = map[warden.GroupName]warden.NodeID{}
	d.heard = append(d.heard, d.callScripts)
	d.onStop("scripts", d.scripts.Close)
}

// say logs and announces an event that does not come from a group's mind.
func (d *daemon) say(e warden.Event) {
	level := slog.LevelDebug
	switch e.Level {
	case warden.LevelWarning:
		level = slog.LevelWarn
	case warden.LevelNotice:
		level = slog.LevelInfo
	}
	d.log.Log(context.Background(), level, e.Name, "payload", e.Payload)
	if e.Level != warden.LevelDebug {
		d.announce(e)
	}
}

// callScripts has the scripts of a group called for an event.
func (d *daemon) callScripts(e warden.Event) {
	now := d.steward.now.Load()
	at := now.master(e.Group)
	if at < 0 {
		return
	}
	m := now.Masters[at]
	d.scripts.Notify(m.NotificationScript, e)
	switch e.Name {
	case "+promoted-slave":
		v, _ := d.shell.Group(e.Group)
		d.mu.Lock()
		d.led[e.Group] = e.Node
		d.mu.Unlock()
		d.scripts.Reconfigure(m.ReconfigScript, e.Group, script.Leader, d.names.show(v.Topology.Previous), e.Node)
	case "+switch-master":
		d.observed(m, e)
	}
}

// observed tells the script of a change of the primary, unless it was told at
// the promotion because this Warden led the change.
func (d *daemon) observed(m config.Master, e warden.Event) {
	d.mu.Lock()
	led := d.led[e.Group] == e.Node
	delete(d.led, e.Group)
	d.mu.Unlock()
	words := strings.Fields(e.Payload)
	if led || len(words) != 5 {
		return
	}
	from := warden.NodeID(words[1] + ":" + words[2])
	if strings.Contains(words[1], ":") {
		from = warden.NodeID("[" + words[1] + "]:" + words[2])
	}
	d.scripts.Reconfigure(m.ReconfigScript, e.Group, script.Observer, from, e.Node)
}

// jobs shows a runner's scripts to clients.
type jobs struct{ runner *script.Runner }

// Jobs are all scripts that run or wait, the oldest first.
func (j jobs) Jobs() []resp.ScriptJob {
	pending := j.runner.Pending()
	out := make([]resp.ScriptJob, len(pending))
	for i, p := range pending {
		out[i] = resp.ScriptJob{
			Args: p.Args, Running: p.Running, PID: p.PID, Retries: p.Retries,
			RunTime: warden.Duration(p.RunTime), RunDelay: warden.Duration(p.RunDelay),
		}
	}
	return out
}

// SetTimers changes how long scripts may run and when they are run again.
func (j jobs) SetTimers(maxRuntime, retryDelay time.Duration) {
	j.runner.SetTimers(maxRuntime, retryDelay)
}
