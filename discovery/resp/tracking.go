package resp

import (
	"slices"
	"strings"
)

// tracking is what CLIENT TRACKING asked for. There are no keys here, so what
// was asked for is kept, shown and otherwise always fulfilled.
type tracking struct {
	on, broadcast, optIn, optOut, noLoop bool

	caching  string // of the next command: "", "yes" or "no"
	redirect int64
	prefixes []string
}

func (t tracking) redirectShown() int64 {
	if !t.on {
		return -1
	}
	return t.redirect
}

func clientGetRedir(c *call) { c.number(c.client.snapshot().tracking.redirectShown()) }

func (c *client) track(t tracking) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.info.tracking = t
}

func clientCaching(c *call) {
	t := c.client.snapshot().tracking
	word := strings.ToLower(c.words[2])
	switch {
	case !t.on:
		c.fail("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	case word == "yes" && !t.optIn:
		c.fail("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case word == "no" && !t.optOut:
		c.fail("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	case word == "yes", word == "no":
		t.caching = word
		c.client.track(t)
		c.simple("OK")
	default:
		c.syntaxError()
	}
}

func clientTrackingInfo(c *call) {
	t := c.client.snapshot().tracking
	flags := []string{"off"}
	if t.on {
		flags = slices.DeleteFunc([]string{
			"on", when(t.broadcast, "bcast"), when(t.optIn, "optin"), when(t.optOut, "optout"),
			when(t.caching == "yes", "caching-yes"), when(t.caching == "no", "caching-no"), when(t.noLoop, "noloop"),
		}, func(f string) bool { return f == "" })
	}
	c.pairs(3)
	c.bulk("flags")
	c.set(len(flags))
	c.bulks(flags...)
	c.bulk("redirect")
	c.number(t.redirectShown())
	c.bulk("prefixes")
	c.array(len(t.prefixes))
	c.bulks(t.prefixes...)
}

func clientTracking(c *call) {
	var t tracking
	if !c.trackingOptions(&t) {
		return
	}
	switch strings.ToLower(c.words[2]) {
	case "on":
		old := c.client.snapshot().tracking
		if problem := t.problem(old); problem != "" {
			c.fail("ERR %s", problem)
			return
		}
		t.on = true
		if old.on {
			t.prefixes = append(slices.Clip(old.prefixes), t.prefixes...)
		}
		if t.broadcast && len(t.prefixes) == 0 {
			t.prefixes = []string{""}
		}
		if len(t.prefixes) > maxSubscriptions {
			c.fail("ERR more than %d prefixes on one connection", maxSubscriptions)
			return
		}
		c.client.track(t)
	case "off":
		c.client.track(tracking{})
	default:
		c.syntaxError()
		return
	}
	c.simple("OK")
}

// trackingOptions reads what follows ON or OFF. On false it has answered.
func (c *call) trackingOptions(t *tracking) bool {
	for rest := c.words[3:]; len(rest) > 0; rest = rest[1:] {
		switch option := strings.ToLower(rest[0]); {
		case option == "redirect" && len(rest) > 1:
			rest = rest[1:]
			if t.redirect != 0 {
				c.fail("ERR A client can only redirect to a single other client")
				return false
			}
			id, ok := parseInt(rest[0])
			if !ok {
				c.fail(notInteger)
				return false
			}
			if !slices.ContainsFunc(c.server.everybody(), func(o *client) bool { return o.id == id }) {
				c.fail("ERR The client ID you want redirect to does not exist")
				return false
			}
			t.redirect = id
		case option == "bcast":
			t.broadcast = true
		case option == "optin":
			t.optIn = true
		case option == "optout":
			t.optOut = true
		case option == "noloop":
			t.noLoop = true
		case option == "prefix" && len(rest) > 1:
			rest = rest[1:]
			t.prefixes = append(t.prefixes, rest[0])
		default:
			c.syntaxError()
			return false
		}
	}
	return true
}

// problem tells why t cannot follow old; empty: it can.
func (t tracking) problem(old tracking) string {
	switch {
	case !t.broadcast && len(t.prefixes) > 0:
		return "PREFIX option requires BCAST mode to be enabled"
	case old.on && old.broadcast != t.broadcast:
		return "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	case t.broadcast && (t.optIn || t.optOut):
		return "OPTIN and OPTOUT are not compatible with BCAST"
	case t.optIn && t.optOut:
		return "You can't specify both OPTIN mode and OPTOUT mode"
	case t.optIn && old.optOut || t.optOut && old.optIn:
		return "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	}
	overlap := func(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }
	for i, p := range t.prefixes {
		for _, o := range old.prefixes {
			if overlap(p, o) {
				return "Prefix '" + p + "' overlaps with an existing prefix '" + o + "'. Prefixes for a single client must not overlap."
			}
		}
		for _, o := range t.prefixes[i+1:] {
			if overlap(p, o) {
				return "Prefix '" + p + "' overlaps with another provided prefix '" + o + "'. Prefixes for a single client must not overlap."
			}
		}
	}
	return ""
}
