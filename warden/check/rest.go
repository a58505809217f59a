package check

import (
	"reflect"
	"slices"

	"github.com/spineldb/warden/election"
	"github.com/spineldb/warden/monitor"
	"github.com/spineldb/warden/warden"
	"github.com/spineldb/warden/warden/failover"
	"github.com/spineldb/warden/warden/group"
)

// rule gives one field its one form. The Warden's clock becomes noon, so what a
// rule writes is meant as of noon.
type rule func(v reflect.Value)

// forget is for what is only shown, or measures what the model leaves out.
func forget(v reflect.Value) { v.SetZero() }

// recent is for instants that are refreshed all the time in a living Warden
// (when a peer was last heard, when the last step was): in the model no time
// passes between two things that happen, so they are now.
func recent(v reflect.Value) {
	if v.Int() > 1 {
		v.SetInt(int64(noon))
	}
}

// past is for instants of which only matters that they were.
func past(v reflect.Value) {
	if v.Int() > 1 {
		v.SetInt(int64(noon.Add(-warden.Second)))
	}
}

// long is for instants that are long past.
func long(v reflect.Value) { v.SetInt(int64(noon.Add(-10 * warden.Minute))) }

// whole is for the lease of a leader: it ends when the scope says so.
func whole(v reflect.Value) { v.SetInt(int64(noon.Add(warden.Second))) }

// leave is for what settle sets by hand.
func leave(reflect.Value) {}

// rules name the fields that are not kept as they are, by type and name. What
// is not named here is kept, so that a field which is new in the core makes
// more states and hides none.
//
// The timers of an election are either armed or not, because a leap of the
// clock goes to the next one, however far that is (see settle). What the
// monitor measures is an input of the model: who is down for whom is said by
// the scope.
var rules = map[string]rule{
	"monitor.State.lastStep":         recent, // of TILT, which is off
	"monitor.State.witnessed":        leave,
	"monitor.State.own":              forget, // of one step
	"monitor.State.hint":             forget, // derived
	"monitor.State.OdownAt":          forget, // shown
	"monitor.heard.at":               recent, // opinions are told again all the time
	"monitor.Node.lifeMark":          leave,  // measured in witnessed time
	"monitor.Node.refusedMark":       leave,  // measured in witnessed time
	"monitor.Node.Since":             past,   // shown
	"monitor.Node.GoodAt":            forget, // of the witness, which is off
	"monitor.Node.positionAt":        forget, // of the witness
	"monitor.Node.position":          forget, // of the witness
	"monitor.Node.GrewAt":            forget, // of the witness
	"monitor.Node.AnsweredAt":        past,   // shown
	"monitor.Node.AskedAt":           forget, // looks never overtake one another here
	"monitor.Node.Detail":            forget, // shown
	"monitor.Node.ServedAt":          past,   // bounds the age of data; its age is constant
	"monitor.Node.DownAt":            past,   // likewise
	"monitor.Node.LostSince":         past,   // hard evidence counts at once
	"election.State.lastStep":        recent, // of clocks that jump
	"election.State.calmSince":       past,   // of the first agreement
	"election.State.failed":          forget, // only lengthens waits
	"election.State.Denials":         forget, // shown
	"election.State.deadSince":       forget, // nobody leaves the group here
	"election.State.started":         long,   // how long a Warden has run only makes it deny votes
	"election.State.HoldUntil":       forget, // a lease held for a leader only makes it deny votes
	"election.State.quietTil":        forget, // only lengthens waits
	"election.State.standAt":         leave,  // timer
	"election.State.round":           forget, // only moves timers
	"election.State.stood":           forget, // likewise
	"election.State.stoodAt":         forget, // likewise
	"election.Peer.At":               recent, // the others are heard all the time
	"election.Peer.Since":            past,   // shown
	"election.Peer.Run":              forget, // shown
	"election.Candidacy.Since":       recent, // the attempt ends when the scope says so
	"election.Candidacy.askedAt":     recent, // asking again is a repeated message
	"election.Candidacy.denials":     forget, // shown
	"election.Leadership.Since":      recent, // shown
	"election.Leadership.proposedAt": recent, // lengthens the lease
	"election.Leadership.resentAt":   recent, // sending again is a repeated message
	"election.Leadership.roundAt":    recent, // renewals only lengthen the lease
	"group.State.statusAt":           recent, // statuses are not carried, see messageItem
	"group.State.told":               forget, // likewise
	"group.State.failovers":          forget, // of a warning
	"group.State.lastMove":           forget, // of failover_cooldown, which is off
	"group.State.wouldSaid":          forget, // of an announcement
	"group.State.mended":             forget, // thought of anew
	"group.State.tuned":              forget, // derived
	"group.State.saved":              forget, // the register itself, between two steps
	"group.State.lastStep":           recent, // of clocks that jump
	"group.State.lag":                forget, // only moves timers
	"group.State.watch":              forget, // derived
	"group.State.watchKey":           forget, // derived
	"group.pause.span":               forget, // only lengthens waits
	"failover.State.Since":           recent, // failover_timeout is far away
	"failover.State.Report":          forget, // shown
	"failover.State.Last":            forget, // shown
	"failover.State.Moved":           forget, // shown
	"failover.State.Account":         forget, // shown
	"election.Leadership.StoodAt":    forget, // shown
	"election.Leadership.Denials":    forget, // shown
	"group.State.reports":            forget, // shown
	"failover.Look.Asked":            forget, // of PostgreSQL
	"failover.pending.at":            recent, // orders end when the scope says so
	"election.State.HoldFor":         forget, // of that lease
	"election.State.holdRun":         forget, // of that lease
	"group.State.led":                forget, // closes connections that are used no more
	"group.State.ledUntil":           forget, // likewise
	"group.State.marked":             forget, // marks are not modelled
	"group.State.stage":              forget, // of crash points
	"group.State.confirmed":          forget, // of announcements
	"group.State.checked":            forget, // of an announcement
	"group.State.learnedAt":          leave,  // see snap
	"monitor.Node.SeenAt":            leave,  // see snap
	"monitor.Node.RoleSince":         leave,  // see snap
	"monitor.State.Agreeing":         forget, // shown
	"election.Leadership.LeaseUntil": whole,  // so waits may be as long as they like
	"failover.State.cancel":          forget, // shown
	"failover.Retry.Failures":        forget, // only lengthens waits
}

// part gives access to a field of a memory that is not exported. A core that
// renames it stops the program at once.
func part[T, S any](name string) func(*S) *T {
	f, ok := reflect.TypeFor[S]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[T]() {
		panic("check: " + reflect.TypeFor[S]().String() + " has no " + name + " of that type: adapt warden/check/rest.go")
	}
	index := f.Index[0]
	return func(s *S) *T { return (*T)(reflect.ValueOf(s).Elem().Field(index).Addr().UnsafePointer()) }
}

var (
	electionOf = part[election.State, group.State]("el")
	monitorOf  = part[monitor.State, group.State]("mon")
	failoverOf = part[*failover.State, group.State]("fo")

	standAtOf   = part[warden.Instant, election.State]("standAt")
	wantOf      = part[election.Want, election.State]("want")
	pollAtOf    = part[warden.Instant, failover.State]("pollAt")
	learnedOf   = part[warden.Instant, group.State]("learnedAt")
	witnessedOf = part[warden.Duration, monitor.State]("witnessed")
	lifeMarkOf  = part[warden.Duration, monitor.Node]("lifeMark")
	refusedOf   = part[warden.Duration, monitor.Node]("refusedMark")
)

const (
	turn       = 40 * warden.Millisecond              // more than nothing: a turn comes when the scope says so
	awake      = warden.Duration(100 * warden.Minute) // witnessed time, always
	longDown   = 10 * warden.Second
	adoptAfter = 300 * warden.Millisecond // how long a role must have been seen to be adopted
)

// settle puts a memory into its one form, as of noon.
func (z *settler) settle(s *group.State, now warden.Instant) {
	z.own(reflect.ValueOf(s).Elem())
	el, mon := electionOf(s), monitorOf(s)
	for _, n := range mon.Nodes {
		n.RoleSince = either(n.RoleSince == 0, 0, either(now.Sub(n.RoleSince) >= adoptAfter, noon.Add(-ago), noon))
	}
	if at := standAtOf(el); *at != 0 {
		*at = noon.Add(turn)
	}
	if at := pollAtOf(*failoverOf(s)); *at > 1 && *at <= now {
		*at = now // due
	}
	z.snap(s, now)
	witnessed := witnessedOf(mon)
	for _, n := range mon.Nodes {
		life, refused := lifeMarkOf(n), refusedOf(n)
		*life = awake // how long it is silent is no matter: the scope says who is down
		switch {
		case !n.Refusing:
			*refused = 0
		case *witnessed-*refused >= crashAfter:
			*refused = awake - longDown
		default:
			*refused = awake
		}
	}
	*witnessed = awake
	arrange(s)
}

// snap keeps of the looks only what they are asked for: whether each was begun
// before or after the last decision was learned, and this stage of a leader
// began.
func (z *settler) snap(s *group.State, now warden.Instant) {
	fo, learned := *failoverOf(s), learnedOf(s)
	marks := []*warden.Instant{learned, &fo.StageAt}
	for list, i := reflect.ValueOf(fo).Elem().FieldByName("Syncing"), 0; i < list.Len(); i++ {
		marks = append(marks, (*warden.Instant)(list.Index(i).FieldByName("at").Addr().UnsafePointer()))
	}
	if fo.Stage == failover.Idle && *learned != 0 {
		// Nothing else is measured against it.
		for _, n := range monitorOf(s).Nodes {
			if n.SeenAt > *learned {
				n.SeenAt = now
			}
		}
		*learned = now.Add(-adoptAfter)
	}
	for _, n := range monitorOf(s).Nodes {
		below := warden.Instant(0)
		for _, m := range marks {
			if *m < n.SeenAt {
				below = max(below, *m)
			}
		}
		if n.SeenAt != 0 && below != 0 {
			n.SeenAt = below.Add(blink / 2)
		} else if n.SeenAt != 0 {
			n.SeenAt = now.Add(-ago)
		}
		z.instants = append(z.instants, &n.SeenAt)
	}
	z.instants = append(z.instants, learned)
	z.compress(now)
}

// arrange sorts what is kept in the order in which it came, and only counted;
// and forgets answers to a proposal that nobody will ask for any more.
func arrange(s *group.State) {
	el := electionOf(s)
	sortBy(opened(reflect.ValueOf(monitorOf(s)).Elem(), "heard"), "from")
	if st := el.Stand; st != nil {
		sortBy(grantsOf(st), "from")
	}
	if l := el.Lead; l != nil {
		l.Voters = slices.Clone(l.Voters)
		slices.Sort(l.Voters)
		if !l.Proposing() && (*failoverOf(s)).Stage != failover.Deciding {
			acksOf(l).SetZero()
		}
		sortBy(acksOf(l), "from")
	}
}

func either(yes bool, a, b warden.Instant) warden.Instant {
	if yes {
		return a
	}
	return b
}

// opened is a field that is not exported and whose type is not either.
func opened(v reflect.Value, name string) reflect.Value {
	f := v.FieldByName(name)
	if !f.IsValid() {
		panic("check: " + v.Type().String() + " has no " + name + ": adapt warden/check/rest.go")
	}
	return reflect.NewAt(f.Type(), f.Addr().UnsafePointer()).Elem()
}

func grantsOf(st *election.Candidacy) reflect.Value {
	return opened(reflect.ValueOf(st).Elem(), "grants")
}
func acksOf(l *election.Leadership) reflect.Value { return opened(reflect.ValueOf(l).Elem(), "acks") }

// sortBy sorts a list of structs by a field that is a string.
func sortBy(list reflect.Value, field string) {
	n := list.Len()
	if n < 2 {
		return
	}
	fresh := reflect.MakeSlice(list.Type(), n, n)
	reflect.Copy(fresh, list)
	list.Set(fresh)
	swap := reflect.Swapper(fresh.Interface())
	for i := 1; i < n; i++ {
		for k := i; k > 0 && fresh.Index(k).FieldByName(field).String() < fresh.Index(k-1).FieldByName(field).String(); k-- {
			swap(k, k-1)
		}
	}
}
