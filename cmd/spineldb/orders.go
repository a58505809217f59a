package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/remote"
	"github.com/spineldb/warden/cmd/spineldb/terminal"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

// wardenIDLength is the length of a complete Warden id.
const wardenIDLength = 40

// change is the action of failover and switchover.
func (p *program) change(word string) cli.ActionFunc {
	return func(c *cli.Context) error {
		group, err := onlyGroup(c)
		if err != nil {
			return err
		}
		var tail []any
		if to := c.String("to"); to != "" {
			node, err := warden.ParseNode(to)
			if err != nil {
				return exit.WrongUsage("--to: %v", err)
			}
			tail = append(tail, "TO", string(node))
		}
		if c.Bool("no-wait") {
			tail = append(tail, "NOWAIT")
		}
		return p.order(c, group, func(string, remote.Status) ([]any, error) { return tail, nil }, word)
	}
}

// plainOrder is the action of an order that needs no more than a group.
func (p *program) plainOrder(word string) cli.ActionFunc {
	return func(c *cli.Context) error {
		group, err := onlyGroup(c)
		if err != nil {
			return err
		}
		return p.order(c, group, func(string, remote.Status) ([]any, error) { return nil, nil }, word)
	}
}

// forget is the action of `forget [GROUP] WARDEN-ID`.
func (p *program) forget(c *cli.Context) error {
	args := c.Args().Slice()
	if len(args) < 1 || len(args) > 2 {
		return exit.WrongUsage("forget needs the id of a Warden, or a beginning of it: spineldb forget [GROUP] WARDEN-ID")
	}
	group, prefix := "", args[len(args)-1]
	if len(args) == 2 {
		group = args[0]
	}
	return p.order(c, group, func(group string, s remote.Status) ([]any, error) {
		id, err := findWarden(s, group, prefix)
		return []any{string(id)}, err
	}, "FORGET")
}

// recovery is the action of `recover [GROUP] --lost a,b`.
func (p *program) recovery(c *cli.Context) error {
	group, err := onlyGroup(c)
	if err != nil {
		return err
	}
	lost := c.StringSlice("lost")
	if len(lost) == 0 {
		return exit.WrongUsage("recover needs the Wardens that will never return: spineldb recover [GROUP] --lost ID,ID (spineldb status shows the ids)")
	}
	return p.order(c, group, func(group string, s remote.Status) ([]any, error) {
		var ids []string
		for _, prefix := range lost {
			id, err := findWarden(s, group, strings.TrimSpace(prefix))
			if err != nil {
				return nil, err
			}
			if !slices.Contains(ids, string(id)) {
				ids = append(ids, string(id))
			}
		}
		return []any{"LOST", strings.Join(ids, ",")}, nil
	}, "RECOVER")
}

// release is the action of `release [GROUP] --gone a,b`.
func (p *program) release(c *cli.Context) error {
	group, err := onlyGroup(c)
	if err != nil {
		return err
	}
	var nodes []string
	for _, name := range c.StringSlice("gone") {
		node, err := warden.ParseNode(strings.TrimSpace(name))
		if err != nil {
			return exit.WrongUsage("--gone: %v", err)
		}
		nodes = append(nodes, string(node))
	}
	return p.order(c, group, func(string, remote.Status) ([]any, error) {
		if len(nodes) == 0 {
			return nil, nil
		}
		return []any{"GONE", strings.Join(nodes, ",")}, nil
	}, "RELEASE")
}

// onlyGroup is the one optional argument GROUP.
func onlyGroup(c *cli.Context) (string, error) {
	if c.NArg() > 1 {
		return "", exit.WrongUsage("%s takes one GROUP, but %q follows it", c.Command.Name, wording.Shown(c.Args().Get(1)))
	}
	return c.Args().First(), nil
}

// chooseGroup is the group that is meant when none may be named.
func chooseGroup(s remote.Status, named string) (string, error) {
	var names []string
	for _, g := range s.Groups {
		names = append(names, string(g.Name))
	}
	switch {
	case named != "" && slices.Contains(names, named), len(names) == 1 && named == "":
		if named == "" {
			named = names[0]
		}
		return named, nil
	case len(names) == 0:
		return "", exit.With(exit.Refused, "the Warden at %s watches no group: add one to its warden.toml", wording.Shown(s.Self.Client))
	case named != "":
		return "", exit.With(exit.Refused, "there is no group %q: choose one of %s", wording.Shown(named), wording.Shown(strings.Join(names, ", ")))
	}
	return "", exit.WrongUsage("there are %d groups: name one of %s", len(names), wording.Shown(strings.Join(names, ", ")))
}

// findWarden completes a beginning of a Warden's id from all that is known of
// a group. A complete id is taken as it is.
func findWarden(s remote.Status, group, prefix string) (warden.WardenID, error) {
	prefix = strings.ToLower(prefix)
	if prefix == "" || strings.Trim(prefix, "0123456789abcdef") != "" || len(prefix) > wardenIDLength {
		return "", exit.WrongUsage("%q is not the beginning of a Warden's id: spineldb status shows the ids", wording.Shown(prefix))
	}
	if len(prefix) == wardenIDLength {
		return warden.WardenID(prefix), nil
	}
	known := []warden.WardenID{s.Self.ID}
	for _, g := range s.Groups {
		if string(g.Name) != group {
			continue
		}
		known = append(known, g.Topology.Wardens...)
		for _, peer := range g.Peers {
			known = append(known, peer.ID)
		}
	}
	slices.Sort(known)
	known = slices.DeleteFunc(slices.Compact(known), func(id warden.WardenID) bool {
		return !strings.HasPrefix(string(id), prefix)
	})
	switch len(known) {
	case 0:
		return "", exit.With(exit.Refused, "no Warden of group %s has an id beginning with %s: spineldb status shows the ids", group, prefix)
	case 1:
		return known[0], nil
	}
	return "", exit.With(exit.Refused, "%d Wardens have an id beginning with %s: write more of it", len(known), prefix)
}

// order sends one order to one Warden and tells how it ended. tail makes the
// arguments after the group, when the group is known.
func (p *program) order(c *cli.Context, group string, tail func(group string, s remote.Status) ([]any, error), word string) error {
	r, err := talkAbout(c, group)
	if err != nil {
		return err
	}
	defer r.Close()
	rest, err := tail(r.group, r.status)
	if err != nil {
		return err
	}
	// Unless the operator is in a hurry, wait until the Warden itself gives up.
	if !c.IsSet("timeout") {
		r.Timeout = max(r.Timeout, patience(r.status, r.group))
	}
	words := []any{"WARDEN"}
	for part := range strings.FieldsSeq(word) {
		words = append(words, part)
	}
	text, err := r.Ask(c.Context, append(append(words, r.group), rest...)...)
	answer := readAnswer(text, err)
	if r.json {
		err = p.printJSON(struct {
			Server string `json:"server"`
			Group  string `json:"group"`
			warden.Answer
		}{r.Addr, r.group, answer})
	} else {
		err = p.tellAnswer(r.Addr, word, r.group, answer)
	}
	if err != nil {
		return err
	}
	return verdictError(answer.Verdict)
}

// patience is a little more than a Warden spends on a change of the group.
func patience(s remote.Status, group string) time.Duration {
	for _, g := range s.Groups {
		if string(g.Name) == group {
			return time.Duration(g.FailoverTimeout) + 30*time.Second
		}
	}
	return 0
}

// readAnswer makes sense of the reply to an order. Once the order is sent,
// only a reply tells that nothing happened.
func readAnswer(text string, err error) warden.Answer {
	var a warden.Answer
	switch {
	case err != nil && remote.IsReply(err):
		return warden.Answer{Verdict: warden.VerdictRefused, Code: "error", Text: err.Error()}
	case err != nil:
		return warden.Answer{Verdict: warden.VerdictUnknown, Code: "connection", Text: "the order was sent but not answered (" + remote.Why(err) + "): look with spineldb status before giving it again"}
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil || a.Verdict == "" {
		return warden.Answer{Verdict: warden.VerdictUnknown, Code: "answer", Text: "the answer cannot be read: use a spineldb of the same version as the Wardens, and look with spineldb status"}
	}
	return a
}

func (p *program) tellAnswer(addr, word, group string, a warden.Answer) error {
	tone := terminal.Good
	switch a.Verdict {
	case warden.VerdictRefused:
		tone = terminal.Bad
	case warden.VerdictUnknown:
		tone = terminal.Warn
	}
	line := fmt.Sprintf("%s %s: %s", strings.ToLower(word), group, p.paint(tone, wording.Shown(string(a.Verdict))))
	if a.Code != "" {
		line += " (" + wording.Shown(a.Code) + ")"
	}
	if a.Text != "" {
		line += ": " + wording.Shown(a.Text)
	}
	_, err := fmt.Fprintf(p.out, "%s [%s]\n", line, addr)
	return err
}

// verdictError is the exit code of a verdict; the words were told already.
func verdictError(v warden.Verdict) error {
	switch v {
	case warden.VerdictDone, warden.VerdictStarted:
		return nil
	case warden.VerdictRefused:
		return exit.Silently(exit.Refused)
	}
	return exit.Silently(exit.Unknown)
}

// ckquorum asks, as Redis Sentinel's command does, whether enough Wardens are
// there to agree on a failover.
func (p *program) ckquorum(c *cli.Context) error {
	r, err := talkOf(c)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := r.Ask(c.Context, "SENTINEL", "CKQUORUM", r.group)
	if err != nil && !remote.IsReply(err) {
		return exit.With(exit.Unreachable, "ask %s: %s", r.Addr, remote.Why(err))
	}
	ok := err == nil
	if !ok {
		text = err.Error()
	}
	if r.json {
		err = p.printJSON(map[string]any{"server": r.Addr, "group": r.group, "ok": ok, "text": text})
	} else {
		_, err = fmt.Fprintf(p.out, "%s: %s [%s]\n", r.group, wording.Shown(text), r.Addr)
	}
	if err == nil && !ok {
		err = exit.Silently(exit.Refused)
	}
	return err
}
