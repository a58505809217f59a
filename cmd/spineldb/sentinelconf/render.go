package sentinelconf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/warden"
)

// key says what a line is about. Lines with one key compete for the same
// places of the file.
type key struct {
	name  string // as directiveName has it
	group string
	item  string // the command that is renamed, the user's name
}

func keyOf(words []string) key {
	k := key{name: directiveName(words)}
	if words[0] == "sentinel" && len(words) > 2 {
		if name, ofGroup, _ := spelling(words[1]); ofGroup {
			k.group = words[2]
			if name == "rename-command" && len(words) > 3 {
				k.item = strings.ToUpper(words[3])
			}
		}
	}
	if k.name == "user" && len(words) > 1 {
		k.item = words[1]
	}
	return k
}

// many reports whether there may be several lines with this key.
func (k key) many() bool {
	return k.name == "sentinel known-replica" || k.name == "sentinel known-sentinel"
}

// ours reports whether lines with this key are the program's to rewrite.
func (k key) ours(s State) bool {
	switch k.name {
	case "user":
		return s.Users != nil
	case "loglevel":
		return s.LogLevel != ""
	}
	return strings.HasPrefix(k.name, "sentinel ")
}

// entry is a line that a State asks for.
type entry struct {
	key   key
	words []string
	// usual: it says what holds without it, so it is written only if there is
	// such a line already.
	usual bool
}

// entries are all lines of a state, in the order that operators know.
func (s State) entries() []entry {
	var out []entry
	add := func(usual bool, words ...string) {
		out = append(out, entry{keyOf(words), words, usual})
	}
	if s.LogLevel != "" {
		add(s.LogLevel == newServer().LogLevel, "loglevel", s.LogLevel)
	}
	for _, u := range s.Users {
		add(false, append([]string{"user"}, strings.Fields(u)...)...)
	}
	add(s.MyID == "", "sentinel", "myid", s.MyID)
	add(s.DenyScriptsReconfig, "sentinel", "deny-scripts-reconfig", yesOrNo(s.DenyScriptsReconfig))
	add(!s.ResolveHostnames, "sentinel", "resolve-hostnames", yesOrNo(s.ResolveHostnames))
	add(!s.AnnounceHostnames, "sentinel", "announce-hostnames", yesOrNo(s.AnnounceHostnames))
	epoch := s.CurrentEpoch
	for _, g := range s.Groups {
		epoch = max(epoch, g.ConfigEpoch)
		out = append(out, g.entries()...)
	}
	add(false, "sentinel", "current-epoch", strconv.FormatUint(epoch, 10))
	add(s.AnnounceIP == "", "sentinel", "announce-ip", s.AnnounceIP)
	add(s.AnnouncePort == 0, "sentinel", "announce-port", strconv.Itoa(s.AnnouncePort))
	add(s.SentinelUser == "", "sentinel", "sentinel-user", s.SentinelUser)
	add(s.SentinelPass == "", "sentinel", "sentinel-pass", string(s.SentinelPass))
	return out
}

func (g Group) entries() []entry {
	var out []entry
	add := func(usual bool, name string, values ...string) {
		words := append([]string{"sentinel", name, g.Name}, values...)
		out = append(out, entry{keyOf(words), words, usual})
	}
	add(false, "monitor", g.Host, strconv.Itoa(g.Port), strconv.Itoa(g.Quorum))
	add(g.DownAfter == DefaultDownAfter, "down-after-milliseconds", milliseconds(g.DownAfter))
	add(g.FailoverTimeout == DefaultFailoverTimeout, "failover-timeout", milliseconds(g.FailoverTimeout))
	add(g.ParallelSyncs == DefaultParallelSyncs, "parallel-syncs", strconv.Itoa(g.ParallelSyncs))
	add(g.NotificationScript == "", "notification-script", g.NotificationScript)
	add(g.ReconfigScript == "", "client-reconfig-script", g.ReconfigScript)
	add(g.AuthPass == "", "auth-pass", string(g.AuthPass))
	add(g.AuthUser == "", "auth-user", g.AuthUser)
	add(g.RebootDownAfter == 0, "master-reboot-down-after-period", milliseconds(g.RebootDownAfter))
	add(false, "config-epoch", strconv.FormatUint(g.ConfigEpoch, 10))
	add(false, "leader-epoch", strconv.FormatUint(g.LeaderEpoch, 10))
	for _, r := range g.Replicas {
		add(false, "known-replica", r.Host, strconv.Itoa(r.Port))
	}
	for _, n := range g.Sentinels {
		add(false, "known-sentinel", n.Host, strconv.Itoa(n.Port), n.ID)
	}
	for _, r := range g.Renames {
		add(false, "rename-command", r.From, r.To)
	}
	return out
}

func yesOrNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func milliseconds(d warden.Duration) string {
	return strconv.FormatInt(int64(d/warden.Millisecond), 10)
}

// Render writes a state into the text of the file as it was read: a line that
// says what the state says stays as it is, one that says something else is
// written anew in its place, new ones are added at the end below one remark,
// and those that say what no longer holds vanish. Everything else stays. An
// included file is never written, so a change of what it says goes into this
// one, and what cannot be said that way is an error. So are values that no
// line can hold. No error contains a value. What was heard from others and
// could not be read again (a known replica by name without resolve-hostnames)
// is left out.
//
// The result, read again, is the same state.
func (f *File) Render(s State) ([]byte, error) {
	s = s.readable()
	r, entries := f.newRendering(s), s.entries()
	for len(entries) > 0 {
		// Lines of one key stand side by side in the order of entries.
		n := 1
		for n < len(entries) && entries[n].key == entries[0].key {
			n++
		}
		if err := r.place(entries[:n]); err != nil {
			return nil, err
		}
		entries = entries[n:]
	}
	r.note(f.lines, s.Noted)
	text := r.text(f.lines)
	if err := f.check(text, s); err != nil {
		return nil, err
	}
	return text, nil
}

// slot is a line of the main file that may be written anew.
type slot struct {
	directive
	taken bool
}

type rendering struct {
	slots    map[key][]*slot
	included map[key][]directive
	changed  map[int]string // lines by their index
	removed  map[int]bool
	added    []string
}

func (f *File) newRendering(s State) *rendering {
	r := &rendering{
		slots: map[key][]*slot{}, included: map[key][]directive{}, changed: map[int]string{}, removed: map[int]bool{},
	}
	for _, d := range f.found {
		switch k := keyOf(d.words); {
		case !k.ours(s) || d.words[0] == "sentinel" && len(d.words) == 1:
		case d.from == byInclude:
			r.included[k] = append(r.included[k], d)
		case d.from <= byRewrite:
			r.slots[k] = append(r.slots[k], &slot{directive: d})
			// Whoever finds a use for the line takes it off this list.
			r.removed[d.place] = true
		}
	}
	return r
}

// place finds a place for each line of one key: first the lines that say the
// same already, then those that can be written anew, then the end.
func (r *rendering) place(entries []entry) error {
	k := entries[0].key
	slots, included := r.slots[k], r.included[k]
	if len(included) > 0 && !k.many() {
		slots = r.after(slots, included[len(included)-1].place)
	}
	var left []entry
	for _, e := range entries {
		i := slices.IndexFunc(slots, func(s *slot) bool { return !s.taken && e.saidBy(s.words) })
		if i >= 0 {
			slots[i].taken = true
			delete(r.removed, slots[i].place)
			continue
		}
		if r.saidByInclude(e, included) || e.usual && (len(included) == 0 || k.many()) {
			continue
		}
		left = append(left, e)
	}
	for _, e := range left {
		line, err := e.line()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(slots, func(s *slot) bool { return !s.taken })
		if i < 0 {
			r.added = append(r.added, line)
			continue
		}
		slots[i].taken = true
		delete(r.removed, slots[i].place)
		r.changed[slots[i].place] = line
	}
	return nil
}

// after leaves the lines that have an effect, those behind the include that
// says the same thing. The others stay in the file as they are.
func (r *rendering) after(slots []*slot, place int) []*slot {
	var out []*slot
	for _, s := range slots {
		if s.place > place {
			out = append(out, s)
		} else {
			delete(r.removed, s.place)
		}
	}
	return out
}

func (r *rendering) saidByInclude(e entry, included []directive) bool {
	if e.key.many() {
		return slices.ContainsFunc(included, func(d directive) bool { return e.saidBy(d.words) })
	}
	return len(included) > 0 && e.saidBy(included[len(included)-1].words)
}

// saidBy reports whether a line with the same key says the same.
func (e entry) saidBy(words []string) bool {
	if len(words) != len(e.words) && e.key.name != "user" {
		return false
	}
	switch e.key.name {
	case "user":
		said, err := config.HideUser(words[1:])
		return err == nil && said == strings.Join(e.words[1:], " ")
	case "loglevel":
		return strings.EqualFold(words[1], e.words[1])
	case "sentinel deny-scripts-reconfig", "sentinel resolve-hostnames", "sentinel announce-hostnames":
		return strings.EqualFold(words[2], e.words[2])
	case "sentinel monitor", "sentinel known-replica", "sentinel known-sentinel":
		return canonicalHost(words[3]) == canonicalHost(e.words[3]) && slices.Equal(words[4:], e.words[4:])
	case "sentinel rename-command":
		return words[4] == e.words[4]
	}
	return slices.Equal(words[2:], e.words[2:])
}

// line writes the line. The address of announce-ip stands in quotes, as tools
// know it.
func (e entry) line() (string, error) {
	line, err := Join(e.words...)
	if err != nil {
		what := e.key.name
		if e.key.group != "" {
			what += " of " + strconv.Quote(e.key.group)
		}
		return "", fmt.Errorf("write %s: %w", what, err)
	}
	if e.key.name == "sentinel announce-ip" && !strings.HasSuffix(line, `"`) {
		line = "sentinel announce-ip " + quoted(e.words[2])
	}
	return line, nil
}

// text puts the lines together.
func (r *rendering) text(lines []string) []byte {
	var out []string
	signed := false
	for i, line := range lines {
		signed = signed || strings.TrimSpace(line) == signature
		if changed, ok := r.changed[i]; ok {
			line = changed
		}
		if !r.removed[i] {
			out = append(out, line)
		}
	}
	if len(r.added) > 0 && !signed {
		if len(out) > 0 && strings.TrimSpace(out[len(out)-1]) != "" {
			out = append(out, "")
		}
		out = append(out, signature)
	}
	out = append(out, r.added...)
	return []byte(strings.Join(out, "\n") + "\n")
}

// check reads a rendered text and compares, so that no file is written that
// would mean something else at the next start.
func (f *File) check(text []byte, s State) error {
	world := f.world
	world.Executable = nil
	again, err := Parse(f.Path, text, nil, world)
	if err != nil {
		return fmt.Errorf("write %s: its next reading would fail: %w", f.Path, err)
	}
	want, got := s.normal(), again.State.normal()
	if s.Users == nil {
		got.Users = nil
	}
	if s.LogLevel == "" {
		got.LogLevel = ""
	}
	if what := want.differs(got); what != "" {
		return fmt.Errorf("write %s: %s cannot be written, because an included file says something else: change it there", f.Path, what)
	}
	return nil
}
