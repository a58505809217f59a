package sim

import (
	"fmt"
	"strconv"
)

// leave has the Warden stop watching the group, as SENTINEL REMOVE does: the
// register stays on its disk and says so, and nobody hears of it any more.
func (p *process) leave() {
	p.crash("leaves the group")
	p.gone = true
	kept := p.disk.kept.Clone()
	kept.Left = true
	p.leftBirth = kept.Chosen.Birth
	p.disk.write(kept, p.world.now)
}

// watchAgain has a Warden that left watch the group again, as SENTINEL MONITOR does.
func (p *process) watchAgain() {
	p.gone = false
	p.start()
}

// quorum changes the configured quorum of all Wardens: quorum 2.
func (c *Conversation) quorum(a words) error {
	text, err := a.only()
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	c.world.base.Quorum = n
	for _, p := range c.world.processes {
		p.config.Quorum = n
	}
	return nil
}

// leave ends a Warden's watching the group: leave w1.
func (c *Conversation) leave(a words) error {
	if _, err := a.only(); err != nil {
		return err
	}
	return c.withWarden(a, (*process).leave)
}

// watch has Wardens that left watch the group again, with another configured
// primary if one is named: watch w1 w2 primary=b.
func (c *Conversation) watch(a words) error {
	for _, name := range a.plain {
		p, err := c.warden(name)
		if err != nil {
			return err
		}
		if !p.gone || !p.disk.kept.Left {
			return fmt.Errorf("%s has not left", name)
		}
		if to := a.named["primary"]; to != "" {
			p.config.Primary = node(to)
		}
		p.watchAgain()
	}
	return nil
}
