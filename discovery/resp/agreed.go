package resp

import (
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// configure answers WARDEN CONFIG GET and SET.
func configure(c *call) {
	name := c.words[3]
	if _, ok := c.server.dir.Primary(warden.GroupName(name)); !ok {
		c.noGroup(name)
		return
	}
	cmd := warden.Command{Group: warden.GroupName(name)}
	switch word := c.words[2]; {
	case strings.EqualFold(word, "get") && len(c.words) == 4:
		cmd.Wish = warden.WishSettings
		if a := c.order(cmd); a.Settings != nil {
			c.json(a.Settings)
		} else {
			c.fail("ERR %s", a.Text)
		}
	case strings.EqualFold(word, "set") && len(c.words) > 4:
		cmd.Wish = warden.WishConfigure
		if why := readSettings(&cmd, c.words[4:]); why != "" {
			c.fail("ERR %s", why)
			return
		}
		c.json(c.order(cmd))
	default:
		c.fail("ERR syntax error at '%s': expected GET group, or SET group [REVISION n] name=value ... [UNSET name ...]", clip(word, 128))
	}
}

// readSettings reads [REVISION n] name=value ... [UNSET name ...], and says what is
// wrong with it.
func readSettings(cmd *warden.Command, words []string) (problem string) {
	if strings.EqualFold(words[0], "revision") && len(words) > 1 {
		n, err := strconv.ParseUint(words[1], 10, 64)
		if err != nil {
			return "'" + clip(words[1], 128) + "' is no revision: WARDEN CONFIG GET shows it"
		}
		cmd.Revision, words = &n, words[2:]
	}
	unset := false
	for _, word := range words {
		if strings.EqualFold(word, "unset") && !unset {
			unset = true
			continue
		}
		item, err := warden.ParseSettingItem(word, unset)
		if err != nil {
			return err.Error()
		}
		cmd.Items = append(cmd.Items, item)
	}
	if len(cmd.Items) == 0 {
		return "no setting is given: write name=value"
	}
	return ""
}
