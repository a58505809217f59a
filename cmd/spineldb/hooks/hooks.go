package hooks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/discovery/delivery"
	"github.com/spineldb/warden/discovery/script"
	"github.com/spineldb/warden/warden"
)

const (
	// lookEvery is how often groups are looked at for what no event tells.
	lookEvery = 500 * time.Millisecond
	// patience is how long is waited at least until the leader of a change counts
	// as gone, and margin what that is more than the age of stale news.
	patience = 5 * warden.Second
	margin   = 2 * warden.Second
	// stopLimit is for on_stop, whatever its timeout.
	stopLimit = 5 * time.Second
)

// Options configure Hooks. All but Logger are required.
type Options struct {
	// Directory shows the groups.
	Directory warden.Directory
	Self      warden.WardenID
	// Process names this run of this Warden, unlike any other.
	Process string
	// Hooks are those of a group as they are now, false if it is not watched;
	// General are those about this Warden.
	Hooks   func(warden.GroupName) (config.Hooks, bool)
	General func() config.Hooks
	// Dir is where it is written down what was run.
	Dir string
	// Say announces an event. It must not wait for Hooks.
	Say    func(warden.Event)
	Logger *slog.Logger
}

// Hooks runs programs. All its methods are safe for concurrent use.
type Hooks struct {
	options Options
	queue   *delivery.Queue
	notes   notes
	end     context.CancelFunc
	over    chan struct{}

	mu     sync.Mutex
	groups map[warden.GroupName]*group
	serial int // of what every Warden tells for itself
}

// occasion is one reason to run one hook.
type occasion struct {
	ID   string    `json:"id"`
	Hook string    `json:"hook"`
	Time time.Time `json:"time"`
	// Warden runs it.
	Warden warden.WardenID  `json:"warden"`
	Group  warden.GroupName `json:"group,omitempty"`
	Node   warden.NodeID    `json:"node,omitempty"`
	// Role is what the node is now: primary or replica.
	Role   warden.Role   `json:"role,omitempty"`
	Old    warden.NodeID `json:"old_primary,omitempty"`
	New    warden.NodeID `json:"new_primary,omitempty"`
	Reason warden.Reason `json:"reason,omitempty"`
	Epoch  warden.Epoch  `json:"epoch,omitempty"`
	// Attempt counts the runs for this occasion, from 1.
	Attempt int `json:"attempt"`
}

// New makes Hooks, which look after the groups until Close.
func New(o Options) *Hooks {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, end := context.WithCancel(context.Background())
	h := &Hooks{options: o, end: end, over: make(chan struct{}), groups: map[warden.GroupName]*group{}}
	h.queue = delivery.New(delivery.Options{Dropped: h.dropped})
	h.notes.open(o.Dir, o.Logger)
	go func() {
		defer close(h.over)
		h.watch(ctx)
	}()
	return h
}

// Close ends hooks that run, with all that they started, and forgets those that
// wait. It returns when nothing is left, or when ctx ends.
func (h *Hooks) Close(ctx context.Context) error {
	h.end()
	<-h.over
	return h.queue.Close(ctx)
}

// Started runs on_start.
func (h *Hooks) Started() {
	h.run(h.options.General(), occasion{Hook: config.HookStart, ID: h.ownID(config.HookStart)}, nil)
}

// Stopping runs on_stop, once, and waits for its end: at most 5 s.
func (h *Hooks) Stopping() {
	general := h.options.General()
	words := general.Commands[config.HookStop]
	if words == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(stopLimit, time.Duration(general.Timeout)))
	defer cancel()
	o := occasion{Hook: config.HookStop, ID: h.ownID(config.HookStop), Time: time.Now(), Warden: h.options.Self}
	if err := h.try(ctx, o, words, 1); err != nil {
		h.failed(o, err)
	}
}

// ownID is the id of an occasion that this Warden alone has.
func (h *Hooks) ownID(hook string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serial++
	return h.options.Process + "-" + hook + "-" + strconv.Itoa(h.serial)
}

// run has a hook run, if there is one, and reports whether there is. done, if it
// is there, is told when it is over.
func (h *Hooks) run(hooks config.Hooks, o occasion, done func()) bool {
	words := hooks.Commands[o.Hook]
	if words == nil {
		return false
	}
	o.Time, o.Warden = time.Now(), h.options.Self
	h.queue.Add(delivery.Job{
		Lane: string(o.Group) + " " + o.Hook, Limit: time.Duration(hooks.Timeout), Tries: hooks.Retries + 1,
		Do: func(ctx context.Context, try int) error { return h.try(ctx, o, words, try) },
		Done: func(err error) {
			if err != nil {
				h.failed(o, err)
			}
			if done != nil {
				done()
			}
		},
	})
	return true
}

// try is one run.
func (h *Hooks) try(ctx context.Context, o occasion, words []string, attempt int) error {
	o.Attempt = attempt
	input, err := json.Marshal(o)
	if err != nil {
		return err
	}
	e := script.Errand{Name: o.Hook, Patience: "timeout in [hooks]", Words: words, Env: o.environment(), Input: append(input, '\n')}
	r := e.Run(ctx, h.options.Logger.With("group", string(o.Group), "node", string(o.Node), "event_id", o.ID, "attempt", attempt))
	if r.Outcome != warden.Done {
		return errors.New(r.Why)
	}
	return nil
}

// environment is what a hook is told.
func (o *occasion) environment() []string {
	env := []string{"WARDEN_HOOK=" + o.Hook, "WARDEN_EVENT_ID=" + o.ID, "WARDEN_ID=" + string(o.Warden), "WARDEN_ATTEMPT=" + strconv.Itoa(o.Attempt)}
	add := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	add("WARDEN_GROUP", string(o.Group))
	add("WARDEN_NODE", string(o.Node))
	add("WARDEN_ROLE", string(o.Role))
	add("WARDEN_OLD_PRIMARY", string(o.Old))
	add("WARDEN_NEW_PRIMARY", string(o.New))
	add("WARDEN_REASON", string(o.Reason))
	if o.Epoch > 0 {
		add("WARDEN_EPOCH", strconv.FormatUint(uint64(o.Epoch), 10))
	}
	return env
}

// failed tells that a hook did not succeed in any of its runs.
func (h *Hooks) failed(o occasion, err error) {
	h.options.Say(warden.Event{Group: o.Group, Name: "-hook-failed", Level: warden.LevelWarning, Node: o.Node, Epoch: o.Epoch,
		Payload: fmt.Sprintf("%s %s %v", o.Hook, o.ID, err)})
}

func (h *Hooks) dropped(lane string, jobs int) {
	h.options.Say(warden.Event{Name: "-hook-dropped", Level: warden.LevelWarning, Payload: fmt.Sprintf("%d %s", jobs, lane)})
}
