package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// only is the single plain argument of a verb.
func (a words) only() (string, error) {
	if len(a.plain) != 1 {
		return "", errors.New("give one name")
	}
	return a.plain[0], nil
}

// pass lets time pass.
func (c *Conversation) pass(a words) error {
	if n := len(a.plain); n == 2 && a.plain[1] == "quiet" { // nothing of it is told
		c.quiet, a.plain = true, a.plain[:1]
		defer func() { c.quiet = false }()
	}
	text, err := a.only()
	if err != nil {
		return err
	}
	d, err := parseDuration(text)
	if err != nil {
		return err
	}
	c.world.run(c.world.now.Add(d))
	return nil
}

// silence cuts a node off from the Wardens named with from=, or from all.
func (c *Conversation) silence(a words) error {
	name, err := a.only()
	if err != nil {
		return err
	}
	from := a.list("from")
	if from == nil {
		for _, p := range c.world.processes {
			from = append(from, p.name)
		}
	}
	return c.sever(name, from)
}

// cutOff cuts somebody off from those named with from=, or from everybody.
func (c *Conversation) cutOff(a words) error {
	name, err := a.only()
	if err != nil {
		return err
	}
	from := a.list("from")
	if from == nil {
		for _, p := range c.world.processes {
			from = append(from, p.name)
		}
		for _, s := range c.world.servers {
			from = append(from, s.name)
		}
	}
	return c.sever(name, from)
}

func (c *Conversation) sever(name string, from []string) error {
	here, err := c.endpoint(name)
	if err != nil {
		return err
	}
	for _, other := range from {
		there, err := c.endpoint(other)
		if err != nil {
			return err
		}
		if here != there {
			c.world.block(here, there)
			c.world.block(there, here)
		}
	}
	return nil
}

// heal ends all cuts.
func (c *Conversation) heal(words) error {
	c.world.cut = [endpoints][endpoints]int8{}
	return nil
}

var stages = map[string]stage{
	"before-persist": beforePersist, "before-send": beforeSend, "amid-send": amidSend, "before-act": beforeAct,
	"before-announce": beforeAnnounce,
}

// crash ends a process at once, or a Warden at a stage of its next effects.
func (c *Conversation) crash(a words) error {
	name, err := a.only()
	if err != nil {
		return err
	}
	if p, err := c.warden(name); err == nil {
		if at := a.named["at"]; at != "" {
			if p.diesAt = stages[at]; p.diesAt == aliveThrough {
				return fmt.Errorf("no stage %q", at)
			}
			return nil
		}
		p.crash("kill -9")
		return nil
	}
	s, err := c.server(name)
	if err != nil {
		return err
	}
	s.crash()
	return nil
}

var returns = map[string]returning{"": withRecent, "recent": withRecent, "old": withOld, "none": withNothing, "another": asAnother}

// restart starts a process again. data= says with what a node comes back; as=
// is the new id of a Warden whose disk is lost.
func (c *Conversation) restart(a words) error {
	name, err := a.only()
	if err != nil {
		return err
	}
	if p, err := c.warden(name); err == nil {
		if p.up {
			p.crash("restart")
		}
		if id := a.named["as"]; id != "" {
			p.gone = true
			p = c.world.addProcess(id, warden.WardenID(id))
		}
		p.start()
		return nil
	}
	s, err := c.server(name)
	if err != nil {
		return err
	}
	how, ok := returns[a.named["data"]]
	if !ok {
		return fmt.Errorf("no way to return %q", a.named["data"])
	}
	s.crash()
	s.start(how)
	return nil
}

// startNew starts a Warden that was not there before.
func (c *Conversation) startNew(a words) error {
	name, err := a.only()
	if err != nil {
		return err
	}
	c.world.addProcess(name, warden.WardenID(name)).start()
	return nil
}

func (c *Conversation) hang(a words) error { return c.withServer(a, (*server).hang) }
func (c *Conversation) wake(a words) error { return c.withServer(a, (*server).wake) }

// onlyServer is the node that is the single plain argument of a verb.
func (c *Conversation) onlyServer(a words) (*server, error) {
	name, err := a.only()
	if err != nil {
		return nil, err
	}
	return c.server(name)
}

func (c *Conversation) withServer(a words, do func(*server)) error {
	s, err := c.onlyServer(a)
	if err != nil {
		return err
	}
	do(s)
	return nil
}

// pause stops a Warden like SIGSTOP; with the word "at-order" only when it is
// about to send its next order, after it has read its lease.
func (c *Conversation) pause(a words) error {
	if len(a.plain) == 0 {
		return errors.New("give a name")
	}
	p, err := c.warden(a.plain[0])
	if err != nil {
		return err
	}
	if d, err := a.duration("at-order", 0); err != nil || d > 0 {
		p.pauseAtOrder = d
		return err
	}
	p.pause()
	return nil
}

func (c *Conversation) resume(a words) error {
	return c.withWarden(a, (*process).resume)
}

func (c *Conversation) withWarden(a words, do func(*process)) error {
	if len(a.plain) == 0 {
		return errors.New("give a name")
	}
	p, err := c.warden(a.plain[0])
	if err != nil {
		return err
	}
	do(p)
	return nil
}

// clock moves a Warden's clock: by=10s, or by=-10s.
func (c *Conversation) clock(a words) error {
	by := a.named["by"]
	d, err := parseDuration(strings.TrimPrefix(by, "-"))
	if err != nil {
		return err
	}
	if strings.HasPrefix(by, "-") {
		d = -d
	}
	return c.withWarden(a, func(p *process) {
		p.offset += d
		p.seen.disturbed = c.world.now
	})
}

// disk lets a Warden's store fail or work: disk w1 fails, disk w1 works.
func (c *Conversation) disk(a words) error {
	if len(a.plain) != 2 {
		return errors.New("write: disk NAME fails, or works")
	}
	return c.withWarden(a, func(p *process) { p.disk.failing = a.plain[1] == "fails" })
}

// exclude gives a node priority 0; with the word "not" it takes that back.
func (c *Conversation) exclude(a words) error {
	s, err := c.server(a.plain[len(a.plain)-1])
	if err != nil {
		return err
	}
	s.priority, s.excludedAt = 0, c.world.now
	if a.plain[0] == "not" {
		s.priority = 100
	}
	return nil
}

// outsider changes a node's role behind the Wardens' backs: outsider b
// promotes it, outsider b follows=c re-points it.
func (c *Conversation) outsider(a words) error {
	s, err := c.onlyServer(a)
	if err != nil {
		return err
	}
	if target := a.named["follows"]; target != "" {
		s.followByHand(node(target), a.named["as"])
	} else {
		s.promoteByHand()
	}
	return nil
}

// prefer gives a node a priority, lower first.
func (c *Conversation) prefer(a words) error {
	if len(a.plain) != 2 {
		return errors.New("prefer: write prefer NODE PRIORITY")
	}
	s, err := c.server(a.plain[0])
	if err != nil {
		return err
	}
	s.priority, err = strconv.Atoi(a.plain[1])
	return err
}

// sentinels tells every Warden which real Sentinels watch the group now; with
// no name the last one is gone.
func (c *Conversation) sentinels(a words) error {
	for _, p := range c.world.processes {
		p.step(group.SentinelsWatch{IDs: a.plain})
	}
	return nil
}

// write has clients write so many bytes to a node.
func (c *Conversation) write(a words) error {
	if len(a.plain) != 2 {
		return errors.New("write: write NODE BYTES")
	}
	s, err := c.server(a.plain[0])
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(a.plain[1], 10, 64)
	if err != nil {
		return err
	}
	switch {
	case !s.serving():
		c.hear(s.name, "does not answer the client")
	case s.role != warden.RolePrimary:
		c.hear(s.name, "refuses the write: read only replica")
	case c.world.now < s.heldUntil:
		c.hear(s.name, "lets the write wait")
	case c.world.kind.postgres():
		c.commit(s, n)
	default:
		s.offset += n
		c.world.history.branches[s.branch].acked = s.offset
		c.hear(s.name, fmt.Sprintf("acknowledges the write, position %d", s.offset))
	}
	return nil
}

// command gives an operator's command: command w1 switchover to=b.
func (c *Conversation) command(a words) error {
	if len(a.plain) != 2 {
		return errors.New("write: command WARDEN WISH")
	}
	p, err := c.warden(a.plain[0])
	if err != nil {
		return err
	}
	cmd := warden.Command{Wish: warden.Wish(a.plain[1])}
	if to := a.named["to"]; to != "" {
		cmd.To = node(to)
	}
	for _, name := range a.list("wardens") {
		cmd.Wardens = append(cmd.Wardens, warden.WardenID(name))
	}
	if err := a.settings(&cmd); err != nil {
		return err
	}
	c.world.give(p, cmd)
	c.world.run(c.world.now)
	return nil
}

// explain prints what a Warden says is going on.
func (c *Conversation) explain(a words) error {
	return c.withWarden(a, func(p *process) { c.out = append(c.out, explainMind(p.config, *p.state, p.clock())...) })
}

// topology prints what each Warden serves and knows to be chosen.
func (c *Conversation) topology(words) error {
	for _, p := range c.world.processes {
		if p.gone {
			continue
		}
		if !p.up {
			c.out = append(c.out, p.name+" is down")
			continue
		}
		v := viewMind(p.config, *p.state, p.clock())
		text := fmt.Sprintf("%s serves %s, chosen: %s", p.name, orNobody(v.Primary), c.world.topologyText(v.Topology))
		if v.Provisional {
			text += " (provisional)"
		}
		if !v.Agreed {
			text += " (hears no majority)"
		}
		c.out = append(c.out, text)
	}
	return nil
}

func orNobody(id warden.NodeID) string {
	if id == "" {
		return "nobody"
	}
	return short(id)
}

// registers prints what is on each Warden's disk.
func (c *Conversation) registers(words) error {
	for _, p := range c.world.processes {
		r := &p.disk.kept
		text := fmt.Sprintf("%s promise %d", p.name, r.Promise)
		if r.Grantee != "" {
			text += fmt.Sprintf(" to run %d of %s", r.GranteeRun, c.world.nameOf(r.Grantee))
		}
		c.out = append(c.out, text+"; accepted "+c.world.topologyText(r.Accepted))
	}
	return nil
}

// nodes prints how each node stands.
func (c *Conversation) nodes(words) error {
	for _, s := range c.world.servers {
		if s.phantom {
			continue
		}
		text := fmt.Sprintf("%s is a %s at %d", s.name, s.role, s.offset)
		if s.role == warden.RoleReplica {
			text = fmt.Sprintf("%s follows %s at %d", s.name, short(s.upstream), s.offset)
		}
		switch {
		case !s.up:
			text += ", down"
		case s.hung:
			text += ", hung"
		}
		text += s.statePostgres()
		if c.world.now < s.heldUntil {
			text += ", writes held"
		}
		c.out = append(c.out, text)
	}
	return nil
}

// hold keeps messages of a kind back from now on: hold propose from=w1 to=w2.
func (c *Conversation) hold(a words) error {
	kind, err := a.only()
	if err != nil {
		return err
	}
	c.taps = append(c.taps, tapRule{kind: kind, from: a.named["from"], to: a.named["to"]})
	return nil
}

func (c *Conversation) holdBack(from, to *process, m *warden.Message) bool {
	for _, r := range c.taps {
		if r.kind == m.Kind() && (r.from == "" || r.from == from.name) && (r.to == "" || r.to == to.name) {
			text := c.world.messageText(m)
			if !slices.ContainsFunc(c.held, func(h heldMessage) bool { return h.from == from && h.to == to && h.text == text }) {
				c.held = append(c.held, heldMessage{from, to, *m, text})
				c.hear(from.name, fmt.Sprintf("held back as %d, to %s: %s", len(c.held), to.name, text))
			}
			return true
		}
	}
	return false
}

// deliver delivers a held message, as often as one likes: deliver 1.
func (c *Conversation) deliver(a words) error {
	for _, text := range a.plain {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > len(c.held) {
			return fmt.Errorf("no message %s is held", text)
		}
		h := c.held[n-1]
		c.world.queue.push(item{at: c.world.now, kind: messageArrives, process: int16(h.to.index), heard: group.Heard{Message: h.message}})
		c.world.run(c.world.now)
	}
	return nil
}

// release holds nothing back any more; what was held stays held.
func (c *Conversation) release(a words) error {
	c.taps = slices.DeleteFunc(c.taps, func(r tapRule) bool { return len(a.plain) == 0 || slices.Contains(a.plain, r.kind) })
	return nil
}
