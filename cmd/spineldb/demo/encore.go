package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/warden"
)

const (
	// encoreLook is how often the processes are looked after.
	encoreLook = 20 * time.Millisecond
	// encoreRest is how long a process that somebody killed stays dead.
	encoreRest = 5 * time.Second
)

// encore leaves everything running until ctx ends. What somebody kills is
// started again a little later, as a machine that was repaired.
func (p *play) encore(ctx context.Context) {
	p.writer.pace.Store(int64(keepPace))
	p.model.headline("your turn: everything is left running until Ctrl-C")
	lines := p.suggestions()
	p.model.hint(lines)
	if !p.live {
		p.show.hint(lines)
	}
	ticker := time.NewTicker(encoreLook)
	defer ticker.Stop()
	deaths := map[*child]time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			for _, d := range append(append([]*child{}, p.cast.nodes...), p.cast.wardens...) {
				if !d.running() {
					p.lookAfter(d, deaths, now)
				}
			}
		}
	}
}

// lookAfter notes a death, and ends it in time.
func (p *play) lookAfter(d *child, deaths map[*child]time.Time, now time.Time) {
	died, known := deaths[d]
	if !known {
		deaths[d] = now
		p.model.died(d.addr, true)
		p.model.act(now, "the end of "+d.name, d.name, fmt.Sprintf("%s has ended; it will be started again after %s", d.name, encoreRest), terminal.Bad)
		return
	}
	if now.Sub(died) < encoreRest {
		return
	}
	delete(deaths, d)
	if err := p.cast.start(d); err != nil {
		p.model.say(now, "", err.Error(), terminal.Bad)
		return
	}
	p.model.died(d.addr, false)
	p.model.say(now, "", fmt.Sprintf("%s is started again (process %d)", d.name, d.pid()), terminal.Plain)
	lines := p.suggestions()
	p.model.hint(lines)
}

// suggestions are commands to try while everything runs.
func (p *play) suggestions() []string {
	program := "spineldb"
	if strings.Contains(p.cast.self, string(filepath.Separator)+"go-build") {
		program = "go run ./cmd/spineldb"
	} else if path, err := filepath.Abs(os.Args[0]); err == nil && strings.ContainsRune(os.Args[0], filepath.Separator) {
		program = path
	}
	server := " --server " + string(p.cast.wardens[0].addr)
	lines := []string{
		program + " switchover" + server,
		p.killLine(p.cast.nodes),
		p.killLine(p.cast.wardens),
		program + " status" + server,
		program + " explain" + server,
		program + " events" + server,
	}
	return append(lines, "ls "+p.cast.dir+"   # logs, configurations, data")
}

// killLine says which process is which.
func (p *play) killLine(all []*child) string {
	var names []string
	for _, d := range all {
		names = append(names, fmt.Sprintf("%s %d", d.name, d.pid()))
	}
	return "kill -9 PROCESS   # " + strings.Join(names, ", ")
}

// name of the node at addr, or the address itself.
func (p *play) name(addr warden.NodeID) string {
	if n := p.node(addr); n != nil {
		return n.name
	}
	return string(addr)
}
