package warden

import (
	"fmt"
	"strings"
)

// Words tells the report in sentences, the most important first.
func (r *Report) Words() []string {
	out := []string{r.Headline()}
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r.Cause != "" {
		say("Warden %s found %s down: %s.", r.Warden.Short(), r.Old, r.Cause)
	}
	for _, w := range r.Wardens {
		say("Warden %s: %s.", w.Warden.Short(), w.words(r))
	}
	for _, s := range r.Before {
		if s.At < 0 {
			say("Accepted %s before that: %s.", -s.At, s.words())
		} else {
			say("Accepted at %s: %s.", s.At, s.words())
		}
	}
	if r.Base != nil && r.Epoch > 0 {
		begun := "Begun with"
		if r.Resumed {
			begun = "Taken up from another leader, at"
		}
		say("%s topology %s.", begun, r.Base.words())
	}
	for _, n := range r.Nodes {
		round := ""
		if r.Nodes[len(r.Nodes)-1].Round > 1 {
			round = fmt.Sprintf("Round %d: ", n.Round)
		}
		at := ""
		if n.Health == HealthGood {
			at = fmt.Sprintf(" at position %d", n.Position)
		}
		say("%s%s%s: %s.", round, n.Node, at, n.Why)
	}
	if len(r.Stages) > 0 {
		parts := make([]string, len(r.Stages))
		for i, s := range r.Stages {
			parts[i] = fmt.Sprintf("%s %s", s.Name, s.Took)
		}
		say("Stages: %s.", strings.Join(parts, ", "))
	}
	for _, o := range r.Orders {
		say("%s", o.words())
	}
	if r.New != "" {
		out = append(out, r.loss())
	}
	return out
}

// Headline is the report in one sentence.
func (r *Report) Headline() string {
	text := fmt.Sprintf("Report %s: %s of %s", r.ID, r.Reason, r.Old)
	if r.Resumed {
		text += ", resumed"
	}
	switch r.Verdict {
	case VerdictDone:
		text += fmt.Sprintf(": done after %s, %s is the primary", r.Took, r.New)
	case VerdictStarted:
		text += fmt.Sprintf(": under way after %s, or its leader is gone", r.Took)
	default:
		text += fmt.Sprintf(": %s (%s)", r.Verdict, r.Code)
	}
	if r.Times > 1 {
		text += fmt.Sprintf(", %d times within %s", r.Times, r.Took)
	}
	if r.Text != "" {
		text += "; " + strings.TrimSuffix(r.Text, ".")
	}
	return text + "."
}

func (s *ReportStep) words() string {
	return fmt.Sprintf("%s (%s, %s), %s is the primary, by Warden %s", s.Version, s.Reason, s.Phase, s.Primary, s.Leader.Short())
}

func (w *ReportWarden) words(r *Report) string {
	text := "does not find it down"
	switch {
	case w.Hard:
		text = "finds it down by more than silence"
	case w.Down:
		text = "finds it down by its silence"
	case w.HeardAgo < 0:
		text = "was never heard"
	}
	if w.Warden != r.Warden && w.HeardAgo > Second {
		text += fmt.Sprintf(", heard %s ago", w.HeardAgo)
	}
	if w.Vote != "" {
		text += "; vote: " + w.Vote
	}
	switch {
	case w.StillDown:
		text += "; accepted the decision and still found it down"
	case w.Accepted:
		text += "; accepted the decision"
	}
	return text
}

func (o *ReportOrder) words() string {
	text := fmt.Sprintf("At %s: %s %s", o.At, o.Kind, o.Node)
	if o.Target != "" {
		text += " to " + string(o.Target)
	}
	if o.Outcome == "" {
		return text + ", not ended when this was written."
	}
	text += fmt.Sprintf(", %s after %s", o.Outcome, o.Took)
	if o.Why != "" {
		text += ": " + strings.TrimSuffix(o.Why, ".")
	}
	return text + "."
}

func (r *Report) loss() string {
	switch {
	case r.Keeps:
		return "Nothing that was acknowledged is lost."
	case r.Lacks < 0:
		return fmt.Sprintf("It is not known how much of what %s had is lost.", r.Old)
	}
	return fmt.Sprintf("%s lacks %d bytes of what %s was last seen to have; what that took later is lost.", r.New, r.Lacks, r.Old)
}
