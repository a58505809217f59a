package rest

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// tag is a condition about what the operator wishes for a node.
type tag struct{ name, value string }

// tagNames are the tags that can be asked for.
func tagNames() []string { return []string{"nofailover", "noloadbalance", "nosync", "replicatefrom"} }

// conditions judges the tags of a question.
func conditions(a *asked) string {
	o := &a.node.Observation
	for _, t := range a.tags {
		have := ""
		switch t.name {
		case "nofailover":
			have = strconv.FormatBool(o.Priority == 0)
		case "noloadbalance":
			have = strconv.FormatBool(o.Unannounced)
		case "nosync":
			have = strconv.FormatBool(o.NoSync)
		case "replicatefrom":
			have = string(o.From)
		}
		if have != t.value {
			return fmt.Sprintf("its tag %s is %q, not %q", t.name, have, t.value)
		}
	}
	return ""
}

// parameters reads the query of a request, in which each name may stand once.
// allowed are the names there may be; tags are allowed where "tag_" is.
func (q *request) parameters(allowed ...string) (map[string]string, error) {
	if q.URL.RawQuery == "" {
		return nil, nil
	}
	values, err := url.ParseQuery(q.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the query cannot be read: write name=value, joined by &")
	}
	out := make(map[string]string, len(values))
	for name, all := range values {
		isTag := strings.HasPrefix(name, "tag_") && slices.Contains(allowed, "tag_")
		switch {
		case !isTag && !slices.Contains(allowed, name):
			return nil, q.unknown("parameter", name, allowed)
		case len(all) > 1:
			return nil, fmt.Errorf("parameter %s is given twice: keep one of the two", clip(name))
		}
		out[name] = all[0]
	}
	return out, nil
}

// readConditions puts what a query demands of a node into a question.
func (a *asked) readConditions(q *request, given map[string]string) error {
	a.lag = -1
	if text, ok := given["lag"]; ok {
		if a.lag, ok = warden.ParseBytes(text); !ok {
			return fmt.Errorf("parameter lag is %q: write a number of bytes, or one with B, kB, MB, GB or TB", clip(text))
		}
	}
	for name, value := range given {
		name, isTag := strings.CutPrefix(name, "tag_")
		if !isTag {
			continue
		}
		if !slices.Contains(tagNames(), name) {
			return q.unknown("tag", name, tagNames())
		}
		if name == "replicatefrom" && value != "" {
			node, err := warden.ParseNode(value)
			if err != nil {
				return fmt.Errorf("parameter tag_replicatefrom: %w", err)
			}
			value = string(node)
		} else if name != "replicatefrom" && value != "true" && value != "false" {
			return fmt.Errorf("parameter tag_%s is %q: choose true or false", name, clip(value))
		}
		a.tags = append(a.tags, tag{name, value})
	}
	return nil
}

// unknown says what was probably meant.
func (q *request) unknown(kind, name string, known []string) error {
	if near := q.nearest(name, known); near != "" {
		return fmt.Errorf("unknown %s %q: did you mean %q?", kind, clip(name), near)
	}
	return fmt.Errorf("unknown %s %q: there are %s", kind, clip(name), strings.Join(known, ", "))
}

// clip bounds what is quoted of a request.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
