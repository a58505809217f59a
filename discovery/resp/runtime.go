package resp

import (
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

func flushConfig(c *call) {
	if steward, ok := c.steward(); ok {
		ctx, cancel := c.within()
		defer cancel()
		c.changed(steward.Flush(ctx))
	}
}

// sentinelDebug shows the timers, or changes some: all of them or none.
func sentinelDebug(c *call) {
	steward, ok := c.steward()
	if !ok {
		return
	}
	known := steward.Timers()
	if len(c.words) == 2 {
		c.showSettings(known)
		return
	}
	var timers []Setting
	for rest := c.words[2:]; len(rest) > 0; rest = rest[2:] {
		timer, exists := setting(known, rest[0])
		if !exists || len(rest) < 2 {
			c.fail("ERR Unknown option or number of arguments for SENTINEL DEBUG '%s'", clip(rest[0], quoteMost))
			return
		}
		if n, ok := parseInt(rest[1]); !ok || n <= 0 {
			c.fail("ERR Invalid argument '%s' for SENTINEL DEBUG '%s'", clip(rest[1], quoteMost), clip(rest[0], quoteMost))
			return
		}
		timers = append(timers, Setting{Name: timer.Name, Values: []string{rest[1]}})
	}
	ctx, cancel := c.within()
	defer cancel()
	c.noted("timers")
	c.changed(steward.SetTimers(ctx, timers))
}

// failures are the points at which a crash can be simulated.
var failures = []string{"crash-after-election", "crash-after-promotion"}

// simulateFailure sets what is simulated, instead of what was before. HELP
// clears it, as it does in Sentinel.
func simulateFailure(c *call) {
	steward, ok := c.steward()
	if !ok {
		return
	}
	flags := 0
	for _, word := range c.words[2:] {
		switch strings.ToLower(word) {
		case failures[0]:
			flags |= 1
		case failures[1]:
			flags |= 2
		case "help":
			steward.Simulate(flags)
			c.array(len(failures))
			c.bulks(failures...)
			return
		default:
			c.fail("ERR Unknown failure simulation specified")
			return
		}
	}
	c.server.log.Warn("failure simulation was chosen", "flags", flags, "client", c.client.conn.RemoteAddr().String())
	steward.Simulate(flags)
	c.simple("OK")
}

func pendingScripts(c *call) {
	steward, ok := c.steward()
	if !ok {
		return
	}
	jobs := steward.Scripts()
	c.array(len(jobs))
	for _, job := range jobs {
		c.pairs(5)
		c.bulk("argv")
		c.array(len(job.Args))
		c.bulks(job.Args...)
		state, when, d := "scheduled", "run-delay", job.RunDelay
		if job.Running {
			state, when, d = "running", "run-time", job.RunTime
		}
		c.bulks("flags", state, "pid", strconv.Itoa(job.PID), when, ms(max(d, 0)), "retry-num", strconv.Itoa(job.Retries))
	}
}

// infoCache shows what nodes said of themselves: of the primary first, then of
// each replica. Unknown names are passed over.
func infoCache(c *call) {
	var views []warden.GroupView
	seen := map[string]bool{}
	for _, name := range c.words[2:] {
		if v, ok := c.server.dir.Group(warden.GroupName(name)); ok && !seen[name] {
			seen[name] = true
			views = append(views, v)
		}
	}
	c.array(2 * len(views))
	for _, v := range views {
		nodes := append([]warden.NodeView{primaryNode(v)}, replicas(v)...)
		c.bulk(string(v.Name))
		c.array(len(nodes))
		for _, n := range nodes {
			c.array(2)
			c.number(max(n.ObservedAgo, 0).Milliseconds())
			if n.Observation.Text == "" {
				c.nilBulk()
			} else {
				c.bulk(n.Observation.Text)
			}
		}
	}
}

// shutdown ends the process. Nothing is answered when it begins.
func shutdown(c *call) {
	words := map[string]bool{}
	for _, word := range c.words[1:] {
		word = strings.ToLower(word)
		switch word {
		case "nosave", "save", "now", "force", "abort":
			words[word] = true
		default:
			c.syntaxError()
			return
		}
	}
	switch {
	case words["abort"] && len(words) > 1, words["save"] && words["nosave"]:
		c.syntaxError()
		return
	case words["abort"]:
		c.fail("ERR No shutdown in progress.")
		return
	}
	if steward, ok := c.steward(); ok {
		c.server.log.Warn("shutdown was asked for", "client", c.client.conn.RemoteAddr().String())
		steward.Shutdown()
		c.client.quitting = true
	}
}
