package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/journal"
	"github.com/spineldb/warden/discovery/resp"
	"github.com/spineldb/warden/warden"
)

// Timers of SENTINEL DEBUG that do something here. The others are kept and
// shown, because scripts set and read them; what they would time is done by
// other means.
const (
	timerPing     = "PING-PERIOD"
	timerAsk      = "ASK-PERIOD"
	timerPublish  = "PUBLISH-PERIOD"
	timerDown     = "DEFAULT-DOWN-AFTER"
	timerTimeout  = "DEFAULT-FAILOVER-TIMEOUT"
	timerTrigger  = "TILT-TRIGGER"
	timerTilt     = "TILT-PERIOD"
	timerElection = "ELECTION-TIMEOUT"
	timerRuntime  = "SCRIPT-MAX-RUNTIME"
	timerRetry    = "SCRIPT-RETRY-DELAY"
)

// timerDefaults are Sentinel's timers in its order, in milliseconds.
var timerDefaults = []struct {
	name string
	ms   int64
}{
	{"INFO-PERIOD", 10000}, {timerPing, 1000}, {timerAsk, 1000}, {timerPublish, 2000},
	{timerDown, 30000}, {timerTimeout, 180000}, {timerTrigger, 2000}, {timerTilt, 30000},
	{"SLAVE-RECONF-TIMEOUT", 10000}, {"MIN-LINK-RECONNECT-PERIOD", 15000}, {timerElection, 10000},
	{timerRuntime, 60000}, {timerRetry, 30000},
}

// given are the timers that somebody has set, in milliseconds.
func (s *steward) given() map[string]int64 {
	s.timersMu.Lock()
	defer s.timersMu.Unlock()
	return maps.Clone(s.timers)
}

// Timers are those of SENTINEL DEBUG.
func (s *steward) Timers() []resp.Setting {
	given := s.given()
	out := make([]resp.Setting, len(timerDefaults))
	for i, t := range timerDefaults {
		ms := t.ms
		if v, ok := given[t.name]; ok {
			ms = v
		}
		out[i] = resp.Setting{Name: t.name, Values: []string{strconv.FormatInt(ms, 10)}}
	}
	return out
}

// SetTimers changes timers until the process ends.
func (s *steward) SetTimers(ctx context.Context, timers []resp.Setting) error {
	next := s.given()
	if next == nil {
		next = map[string]int64{}
	}
	for _, t := range timers {
		ms, err := strconv.ParseInt(t.Values[0], 10, 64)
		if err != nil || ms <= 0 || ms > maxMilliseconds {
			return resp.Refusal{Text: fmt.Sprintf("ERR Invalid argument '%s' for SENTINEL DEBUG '%s'", t.Values[0], strings.ToLower(t.Name))}
		}
		next[t.Name] = ms
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	had := s.given()
	s.keepTimers(next)
	if err := s.reconfigure(ctx, s.current()); err != nil {
		s.keepTimers(had)
		return err
	}
	s.scripts.SetTimers(span(next, timerRuntime), span(next, timerRetry))
	return nil
}

// span is a timer that was set; 0: it was not.
func span(timers map[string]int64, name string) time.Duration {
	return time.Duration(timers[name]) * time.Millisecond
}

func (s *steward) keepTimers(t map[string]int64) {
	s.timersMu.Lock()
	defer s.timersMu.Unlock()
	s.timers = t
}

// Failures that SENTINEL SIMULATE-FAILURE asks for, and the step of a failover
// after which the process ends then.
const (
	simulateElection  = 1
	simulatePromotion = 2
)

// Simulate has the process end at a point of its next failover.
func (s *steward) Simulate(flags int) {
	s.simulate.Store(int64(flags))
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), changeLimit)
	defer cancel()
	if err := s.reconfigure(ctx, s.current()); err != nil {
		s.log.Warn("simulate failure", "error", err)
	}
}

// Simulated are the flags given last.
func (s *steward) Simulated() int { return int(s.simulate.Load()) }

// crashPoint is the step that Simulated stands for, empty for none.
func (s *steward) crashPoint() string {
	switch flags := s.Simulated(); {
	case flags&simulateElection != 0:
		return "elected"
	case flags&simulatePromotion != 0:
		return "publishing"
	}
	return ""
}

// Parameters are those of SENTINEL CONFIG, in Sentinel's order.
func (s *steward) Parameters() []resp.Setting {
	now := s.now.Load()
	port := 0
	if now.AnnouncePort != now.ownPort() {
		port = now.AnnouncePort
	}
	values := []struct{ name, value string }{
		{"resolve-hostnames", yesNo(now.ResolveNames)}, {"announce-hostnames", yesNo(now.AnnounceNames)},
		{"announce-ip", now.AnnounceIP}, {"announce-port", strconv.Itoa(port)},
		{"sentinel-user", now.User}, {"sentinel-pass", string(now.Password)}, {"loglevel", now.Loglevel},
	}
	out := make([]resp.Setting, len(values))
	for i, v := range values {
		out[i] = resp.Setting{Name: v.name, Values: []string{v.value}}
	}
	return out
}

// SetParameters changes parameters, all of them or none.
func (s *steward) SetParameters(ctx context.Context, parameters []resp.Setting) error {
	old := s.current()
	err := s.change(ctx, func(next *setup) error {
		next.Changes = next.Changes.clone()
		if next.Changes.Parameters == nil {
			next.Changes.Parameters = map[string]string{}
		}
		for _, p := range parameters {
			value := p.Values[0]
			if isWord(p.Name) {
				value = strings.ToLower(value)
			}
			if err := next.setParameter(p.Name, value); err != nil {
				return err
			}
			next.Changes.Parameters[p.Name] = value
		}
		return nil
	})
	if now := s.current(); err == nil && now.DropIn && now.Password != old.Password {
		// Changed here alone and at once, the key would part this Warden from
		// the others.
		s.log.Warn("sentinel-pass was changed: it is used toward Sentinels from now on, and toward Wardens after a restart, " +
			"as the key between them is made from it. Change it on all Wardens, then restart them one by one")
	}
	return err
}

// isWord reports whether a parameter is one of several words, in any case.
func isWord(parameter string) bool {
	return parameter == "resolve-hostnames" || parameter == "announce-hostnames" || parameter == "loglevel"
}

// setParameter changes one parameter of SENTINEL CONFIG.
func (s *setup) setParameter(name, value string) error {
	wrong := resp.Refusal{Text: fmt.Sprintf("ERR Invalid value '%s' to SENTINEL CONFIG SET '%s'", value, name)}
	switch name {
	case "resolve-hostnames", "announce-hostnames":
		if value != "yes" && value != "no" {
			return wrong
		}
		if name == "resolve-hostnames" {
			s.ResolveNames = value == "yes"
		} else {
			s.AnnounceNames = value == "yes"
		}
	case "announce-ip":
		if ip, err := netip.ParseAddr(value); value != "" && err == nil && ip.IsUnspecified() {
			return wrong
		}
		s.AnnounceIP = value
	case "announce-port":
		port, err := strconv.Atoi(value)
		if err != nil || port < 0 || port > math.MaxUint16 {
			return wrong
		}
		s.AnnouncePort = port
		if port == 0 {
			s.AnnouncePort = s.ownPort()
		}
	case "sentinel-user":
		s.User = value
	case "sentinel-pass":
		s.Password = config.Secret(value)
	case "loglevel":
		if _, err := journal.ParseLevel(value); err != nil {
			return wrong
		}
		s.Loglevel = value
	default:
		return resp.Refusal{Text: fmt.Sprintf("ERR Invalid argument '%s' to SENTINEL CONFIG SET", name)}
	}
	return nil
}

// ownPort is the port of this Warden that clients are told when nothing else
// was configured: that of TLS where everybody speaks TLS.
func (s *setup) ownPort() int {
	if s.TLS.Port != 0 && (s.Port == 0 || s.TLS.Nodes) {
		return s.TLS.Port
	}
	return s.Port
}

func yesNo(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

func upper(s string) string { return strings.ToUpper(s) }

// millis is a timer that was set; 0: it was not.
func millis(timers map[string]int64, name string) warden.Duration {
	return warden.Duration(timers[name]) * warden.Millisecond
}
