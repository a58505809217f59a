package main

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"sync/atomic"

	"github.com/spineldb/warden/warden"
)

// maxIdentities bounds what is remembered of hellos, which anybody who may
// publish on a node can write.
const maxIdentities = 1024

var anyID = regexp.MustCompile(`\b[0-9a-f]{40}\b`)

// identities knows under which id Sentinel's clients know each Warden: the
// myid of its sentinel.conf, which it had before it was a Warden. Only what is
// shown depends on it. Safe for concurrent use.
type identities struct {
	mu    sync.RWMutex
	shown map[warden.WardenID]string
	// names are those of nodes, once they are known; nil until then.
	names atomic.Pointer[hostNames]
}

// learn notes an id and reports whether that is news.
func (i *identities) learn(id warden.WardenID, shown string) bool {
	if shown == string(id) {
		shown = ""
	}
	if shown != "" && !isID(shown) {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	have, known := i.shown[id]
	if have == shown || !known && len(i.shown) >= maxIdentities {
		return false
	}
	if i.shown == nil {
		i.shown = map[warden.WardenID]string{}
	}
	if shown == "" {
		delete(i.shown, id)
	} else {
		i.shown[id] = shown
	}
	return true
}

// of is the other id of a Warden, empty when it has none.
func (i *identities) of(id warden.WardenID) string {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.shown[id]
}

// translate puts the shown ids into a text for clients.
func (i *identities) translate(text string) string {
	if len(text) < 40 {
		return text
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	if len(i.shown) == 0 {
		return text
	}
	return anyID.ReplaceAllStringFunc(text, func(id string) string {
		if shown := i.shown[warden.WardenID(id)]; shown != "" {
			return shown
		}
		return id
	})
}

// isID reports whether s is what Sentinel takes for an id.
func isID(s string) bool { return len(s) == 40 && anyID.MatchString(s) }

// shownLog puts the shown ids, and addresses as they are shown, into the events
// of a log.
type shownLog struct {
	slog.Handler
	ids *identities
}

// Handle writes one record.
func (l shownLog) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() == slog.KindString {
			text := l.ids.translate(a.Value.String())
			if n := l.ids.names.Load(); n != nil && a.Key == "payload" {
				text = n.text(text)
			}
			a.Value = slog.StringValue(text)
		}
		out.AddAttrs(a)
		return true
	})
	return l.Handler.Handle(ctx, out)
}

// WithAttrs is a log whose records have further attributes.
func (l shownLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return shownLog{l.Handler.WithAttrs(attrs), l.ids}
}

// WithGroup is a log whose attributes stand in a group.
func (l shownLog) WithGroup(name string) slog.Handler {
	return shownLog{l.Handler.WithGroup(name), l.ids}
}
