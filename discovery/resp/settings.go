package resp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// steward returns the Steward, or answers that there is none.
func (c *call) steward() (Steward, bool) {
	s := c.server.options.Steward
	if s == nil {
		c.fail("ERR '%s' is not available: this server was started without a configuration to change", c.name)
	}
	return s, s != nil
}

// within gives an outside call its deadline.
func (c *call) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, c.server.options.CommandTimeout)
}

// changed answers how a Steward's change ended.
func (c *call) changed(err error) {
	var refusal Refusal
	switch {
	case err == nil:
		c.simple("OK")
	case errors.As(err, &refusal):
		c.fail("%s", refusal.Text)
	case errors.Is(err, ErrUnknownGroup):
		c.fail(unknownPrimary)
	case errors.Is(err, ErrNotSaved):
		c.fail("ERR Failed to save config file. Check server logs.")
	default:
		c.fail("ERR %s", err)
	}
}

// noted writes down who changes the configuration. Values are left out: some
// are secrets.
func (c *call) noted(what string) {
	c.server.log.Info("operator changes the configuration", "command", c.name, "what", what, "client", c.client.conn.RemoteAddr().String())
}

// clean reports whether no word holds a control character, and answers if one
// does: in a value it could begin a new line of the configuration file.
func (c *call) clean(command string) bool {
	for i, word := range c.words {
		if strings.ContainsFunc(word, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			c.fail("ERR Invalid argument at index %d for SENTINEL %s: control characters are not allowed", i, command)
			return false
		}
	}
	return true
}

// monitor answers SENTINEL MONITOR name host port quorum. The checks stand in
// Sentinel's order.
func monitor(c *call) {
	steward, ok := c.steward()
	if !ok || !c.clean("MONITOR") {
		return
	}
	name, host := c.words[2], c.words[3]
	quorum, isQuorum := parseInt(c.words[5])
	port, isPort := parseInt(c.words[4])
	if problem := c.monitorProblem(quorum, isQuorum, port, isPort); problem != "" {
		c.fail("%s", problem)
		return
	}
	group, err := warden.ParseGroupName(name)
	if err != nil {
		c.fail("ERR %s", err)
		return
	}
	ctx, cancel := c.within()
	defer cancel()
	c.noted(name)
	c.changed(steward.Monitor(ctx, group, host, int(port), int(quorum)))
}

func (c *call) monitorProblem(quorum int64, isQuorum bool, port int64, isPort bool) string {
	_, known := c.server.dir.Primary(warden.GroupName(c.words[2]))
	switch {
	case !isQuorum || quorum != int64(int(quorum)):
		return "ERR Invalid quorum"
	case !isPort:
		return "ERR Invalid port"
	case quorum <= 0:
		return "ERR Quorum must be 1 or greater."
	case !c.mayBeHost(c.words[3]):
		return "ERR Invalid IP address or hostname specified"
	case port < 1 || port > 65535:
		return "ERR Invalid port number."
	case known:
		return "ERR Duplicate master name."
	}
	return ""
}

// mayBeHost reports whether a host can be one: an IP address, or a name where
// names are resolved. Whether a name resolves is for the Steward to find out.
func (c *call) mayBeHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	resolve := slices.ContainsFunc(c.server.options.Steward.Parameters(), func(p Setting) bool {
		return p.Name == "resolve-hostnames" && len(p.Values) == 1 && p.Values[0] == "yes"
	})
	return resolve && host != "" && !strings.ContainsAny(host, " :[],")
}

func removeGroup(c *call) {
	steward, ok := c.steward()
	if !ok || !c.monitored() {
		return
	}
	ctx, cancel := c.within()
	defer cancel()
	c.noted(c.words[2])
	c.changed(steward.Remove(ctx, warden.GroupName(c.words[2])))
}

// monitored is known, in Sentinel's words.
func (c *call) monitored() bool {
	_, ok := c.server.dir.Primary(warden.GroupName(c.words[2]))
	if !ok {
		c.fail(unknownPrimary)
	}
	return ok
}

// groupOptions are the options of SENTINEL SET. least is the least number an
// option takes; text takes anything.
var groupOptions = map[string]struct {
	values int
	text   bool
	least  int64
}{
	"down-after-milliseconds":          {values: 1, least: 1},
	"failover-timeout":                 {values: 1, least: 1},
	"parallel-syncs":                   {values: 1, least: 1},
	"quorum":                           {values: 1, least: 1},
	"notification-script":              {values: 1, text: true},
	"client-reconfig-script":           {values: 1, text: true},
	"auth-pass":                        {values: 1, text: true},
	"auth-user":                        {values: 1, text: true},
	"rename-command":                   {values: 2, text: true},
	"master-reboot-down-after-period":  {values: 1},
	"primary-reboot-down-after-period": {values: 1},
}

// setGroup answers SENTINEL SET name option value ...: all options are checked
// before any is applied.
func setGroup(c *call) {
	steward, ok := c.steward()
	if !ok || !c.clean("SET") || !c.monitored() {
		return
	}
	options, ok := c.groupSettings()
	if !ok {
		return
	}
	ctx, cancel := c.within()
	defer cancel()
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = o.Name
	}
	c.noted(c.words[2] + " " + strings.Join(names, " "))
	c.changed(steward.Set(ctx, warden.GroupName(c.words[2]), options))
}

// groupSettings reads the options of SENTINEL SET. On false it has answered.
func (c *call) groupSettings() ([]Setting, bool) {
	var settings []Setting
	for rest := c.words[3:]; len(rest) > 0; {
		name := strings.ToLower(rest[0])
		option, known := groupOptions[name]
		if !known || len(rest) <= option.values {
			c.fail("ERR Unknown option or number of arguments for SENTINEL SET '%s'", clip(rest[0], quoteMost))
			return nil, false
		}
		values := rest[1 : 1+option.values]
		for _, value := range values {
			n, isNumber := parseInt(value)
			if !option.text && (!isNumber || n < option.least) || name == "rename-command" && value == "" {
				c.fail("ERR Invalid argument '%s' for SENTINEL SET '%s'", clip(value, quoteMost), clip(rest[0], quoteMost))
				return nil, false
			}
		}
		settings = append(settings, Setting{Name: name, Values: slices.Clone(values)})
		rest = rest[1+option.values:]
	}
	return settings, true
}

// setting finds a setting by its name, in any case.
func setting(list []Setting, name string) (Setting, bool) {
	i := slices.IndexFunc(list, func(s Setting) bool { return strings.EqualFold(s.Name, name) })
	if i < 0 {
		return Setting{}, false
	}
	return list[i], true
}

// showSettings answers with a map of names and values.
func (c *call) showSettings(list []Setting) {
	c.pairs(len(list))
	for _, s := range list {
		c.bulks(s.Name, strings.Join(s.Values, " "))
	}
}

func sentinelConfig(c *call) {
	steward, ok := c.steward()
	if !ok {
		return
	}
	switch verb := strings.ToLower(c.words[2]); {
	case verb == "get":
		c.showParameters(steward.Parameters())
	case verb == "set":
		c.setParameters(steward)
	default:
		c.fail("ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...] / SET <param> <value> [<param> <value> ...] are supported.")
	}
}

// showParameters shows those that match a pattern, each once, in the order of
// the patterns.
func (c *call) showParameters(all []Setting) {
	var shown []Setting
	for _, pattern := range c.words[3:] {
		for _, p := range all {
			if _, already := setting(shown, p.Name); !already && matchGlob(strings.ToLower(pattern), p.Name) {
				shown = append(shown, p)
			}
		}
	}
	c.showSettings(shown)
}

func (c *call) setParameters(steward Steward) {
	if !c.clean("CONFIG SET") {
		return
	}
	var parameters []Setting
	known := steward.Parameters()
	for rest := c.words[3:]; len(rest) > 0; rest = rest[2:] {
		name := strings.ToLower(rest[0])
		_, twice := setting(parameters, name)
		_, exists := setting(known, name)
		switch {
		case !exists:
			c.fail("ERR Invalid argument '%s' to SENTINEL CONFIG SET", clip(rest[0], quoteMost))
			return
		case twice:
			c.fail("ERR Duplicate argument '%s' to SENTINEL CONFIG SET", clip(rest[0], quoteMost))
			return
		case len(rest) < 2:
			c.fail("ERR Missing argument '%s' value", clip(rest[0], quoteMost))
			return
		case !fitsParameter(name, rest[1]):
			c.fail("ERR Invalid value '%s' to SENTINEL CONFIG SET '%s'", clip(rest[1], quoteMost), clip(rest[0], quoteMost))
			return
		}
		parameters = append(parameters, Setting{Name: name, Values: []string{rest[1]}})
	}
	ctx, cancel := c.within()
	defer cancel()
	c.noted("parameters")
	c.changed(steward.SetParameters(ctx, parameters))
}

// fitsParameter checks the words of a value; what it means is for the Steward.
func fitsParameter(name, value string) bool {
	switch name {
	case "resolve-hostnames", "announce-hostnames":
		return strings.EqualFold(value, "yes") || strings.EqualFold(value, "no")
	case "announce-port":
		n, err := strconv.Atoi(value)
		return err == nil && n >= 0 && n <= 65535
	case "loglevel":
		return slices.Contains([]string{"debug", "verbose", "notice", "warning", "nothing"}, strings.ToLower(value))
	}
	return true
}
