package warden

import (
	"fmt"
	"hash/fnv"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// SyncSet says where acknowledged writes are kept besides the primary: on K of
// the members. K = 0: nothing is promised. Values are never changed in place.
type SyncSet struct {
	K       int      `json:"k"`
	Members []Member `json:"members,omitempty"` // sorted by node
}

// Member is a replica that counts, under a name that nobody else carries. A node
// that joins again gets a new name: what was built anew must not be counted
// for what it held before.
type Member struct {
	Node NodeID `json:"node"`
	Name string `json:"name"`
}

// SyncRule is what a primary waits for before it reports a commit as done: K of
// the named have it on disk. K = 0: it does not wait. With fewer names than K
// it waits for ever.
type SyncRule struct {
	K     int
	Names []string
}

// nobody is a name that no replica carries: what waits for it waits for ever.
const nobody = "warden_nobody_"

// String is the rule as PostgreSQL's synchronous_standby_names has it, and as
// Observation.Waits gives it back.
func (r SyncRule) String() string {
	return string(r.append(make([]byte, 0, 32+len(r.Names)*(maxMemberName+4))))
}

// Is reports whether text, from an Observation, is this rule.
func (r SyncRule) Is(text string) bool {
	var room [256]byte
	return string(r.append(room[:0])) == text
}

// OurRule reports whether a server waits, or would as a primary, by a rule that
// Wardens have set: it names members, and nobody else makes such names.
func OurRule(waits string) bool {
	rest, ok := strings.CutPrefix(waits, "ANY ")
	_, rest, quoted := strings.Cut(rest, `"`)
	name, _, _ := strings.Cut(rest, `"`)
	if !ok || !quoted {
		return false
	}
	return strings.HasPrefix(name, nobody) || memberTail.MatchString(name)
}

// memberTail is how a MemberName ends.
var memberTail = regexp.MustCompile(`_[0-9a-f]{8}_[0-9]+\.[0-9]+$`)

func (r SyncRule) append(b []byte) []byte {
	if r.K <= 0 {
		return b
	}
	b = append(strconv.AppendInt(append(b, "ANY "...), int64(r.K), 10), " ("...)
	for i := range max(len(r.Names), r.K) {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, '"')
		if i < len(r.Names) {
			b = append(b, strings.ReplaceAll(r.Names[i], `"`, `""`)...)
		} else {
			b = strconv.AppendInt(append(b, nobody...), int64(i), 10)
		}
		b = append(b, '"')
	}
	return append(b, ')')
}

// Clone copies a set so that its slices can be changed.
func (s SyncSet) Clone() SyncSet { return SyncSet{s.K, slices.Clone(s.Members)} }

// Equal reports whether two sets are the same.
func (s SyncSet) Equal(o SyncSet) bool { return s.K == o.K && sameList(s.Members, o.Members) }

// Name is the name of a member, "" if the node is none.
func (s SyncSet) Name(node NodeID) string {
	for _, m := range s.Members {
		if m.Node == node {
			return m.Name
		}
	}
	return ""
}

// Rule is the set as a primary at node is told it: a primary is no member.
func (s SyncSet) Rule(node NodeID) *SyncRule {
	r := &SyncRule{K: s.K}
	for _, m := range s.Members {
		if m.Node != node {
			r.Names = append(r.Names, m.Name)
		}
	}
	return r
}

// Without is the set of a primary at node: the others, and the same K.
func (s SyncSet) Without(node NodeID) SyncSet {
	s = s.Clone()
	s.Members = slices.DeleteFunc(s.Members, func(m Member) bool { return m.Node == node })
	return s
}

// Seals is how many members have to be sealed until no commit can be reported
// any more: any K of the members then meet one of them. 0 where K is.
func (s SyncSet) Seals() int {
	if s.K == 0 {
		return 0
	}
	return max(len(s.Members)-s.K+1, 0)
}

func (s SyncSet) String() string {
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = string(m.Node)
	}
	return fmt.Sprintf("any %d of %s", s.K, strings.Join(names, ", "))
}

// maxMemberName is what PostgreSQL's application_name holds, in bytes.
const maxMemberName = 63

// MemberName is the name under which a node joins a sync set at a version of
// the topology: readable, and unique by a checksum where it had to be cut.
func MemberName(group GroupName, node NodeID, at Version) string {
	plain := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}
	sum := fnv.New32a()
	sum.Write([]byte(string(group) + "\x00" + string(node)))
	tail := fmt.Sprintf("_%08x_%d.%d", sum.Sum32(), at.Epoch, at.Step)
	head := strings.Map(plain, string(group)+"_"+string(node))
	return head[:min(len(head), max(maxMemberName-len(tail), 0))] + tail
}
