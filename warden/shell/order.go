package shell

import (
	"context"
	"time"

	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/group"
)

// carry carries out one action on a lane: claim if there is no session, then
// the order. Before everything that is sent, the lease and the deadline are
// read again.
func (o *orders) carry(l *lane, j job) group.ActionDone {
	done := group.ActionDone{ID: j.action.ID, Node: j.action.Node}
	ctx, cancel := context.WithDeadline(o.ctx, j.due)
	defer cancel()
	if why := o.late(ctx, j.action); why != "" {
		done.Result = refused(why)
		return done
	}
	var notes []string
	if l.session == nil {
		done.Result = o.claim(ctx, l)
		if l.session == nil {
			return done
		}
		notes = done.Result.Notes
		if why := o.late(ctx, j.action); why != "" {
			done.Result = refused(why)
			return done
		}
	}
	done.Result = o.order(ctx, l.session, j.action)
	done.Result.Notes = append(notes, done.Result.Notes...)
	switch {
	case done.Result.Outcome != warden.Done:
		// What a session is worth after an order that was not done, nobody
		// knows: what is still on its way there is discarded with it, and the
		// next order claims anew.
		l.drop()
	case j.action.Kind == group.ActClaim || j.action.Kind == group.ActSeal:
		done.Observation, done.Asked = o.over(ctx, l)
	case j.action.Kind == group.ActPromote:
		// The promotion may have used up its deadline; the look that confirms
		// it gets one of its own.
		after, cancel := context.WithTimeout(o.ctx, time.Duration(AfterLook))
		defer cancel()
		done.Observation, done.Asked = o.over(after, l)
	}
	return done
}

// late says why an order may not be sent any more; empty if it may.
func (o *orders) late(ctx context.Context, a group.Action) string {
	if a.NotAfter != 0 && o.options.Clock() > a.NotAfter {
		return "lease over"
	}
	if ctx.Err() != nil {
		return "deadline over before it was sent"
	}
	return ""
}

// claim opens a session for the lane. The result is the claim's own unless a
// session is there.
func (o *orders) claim(ctx context.Context, l *lane) warden.Result {
	session, result := l.adapter.Claim(ctx, l.key.node, warden.Claim{
		Group: o.group, Epoch: l.key.epoch, Warden: o.options.ID,
	})
	if result.Outcome == warden.Done && session != nil {
		l.session = session
		return result
	}
	if session != nil {
		session.Close()
	}
	if result.Outcome == warden.Done || result.Outcome == "" {
		return refused("the adapter claimed the node without a session")
	}
	return result
}

// order gives the one order of an action over a claimed session.
func (o *orders) order(ctx context.Context, s warden.Session, a group.Action) warden.Result {
	switch a.Kind {
	case group.ActClaim:
		return warden.Result{Outcome: warden.Done}
	case group.ActPromote:
		return s.Promote(ctx, a.Sync)
	case group.ActFollow:
		return s.Follow(ctx, warden.Following{Primary: a.Target, Avoid: a.Avoid, Name: a.Name, Sync: a.Sync})
	case group.ActHold:
		return s.Hold(ctx, a.Limit)
	case group.ActRelease:
		return s.Release(ctx)
	case group.ActSeal, group.ActWait:
		k, ok := s.(warden.Keeper)
		switch {
		case !ok:
			return refused("this kind of database cannot keep acknowledged writes on several nodes: use durability \"async\"")
		case a.Kind == group.ActSeal:
			return k.Seal(ctx)
		}
		return k.Wait(ctx, a.Rules)
	}
	return refused("the shell knows no action \"" + string(a.Kind) + "\"")
}

// over looks at the node over the lane's session. A session that gives no
// sign of life is closed, so that the next order does not trust it.
func (o *orders) over(ctx context.Context, l *lane) (warden.Observation, warden.Instant) {
	asked := o.options.Clock()
	seen := l.session.Look(ctx)
	if !seen.Health.Alive() {
		l.drop()
	}
	return seen, asked
}

// refused is the result of an order that surely was not sent.
func refused(why string) warden.Result {
	return warden.Result{Outcome: warden.Refused, Why: why}
}
