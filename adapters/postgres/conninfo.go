package postgres

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spineldb/warden/warden"
)

// setting is one keyword of a connection string.
type setting struct{ key, value string }

// conninfo is a libpq connection string taken apart, in its order.
type conninfo []setting

// String writes the string in keyword form, every value quoted.
func (c conninfo) String() string {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var parts []string
	for _, s := range c {
		parts = append(parts, s.key+"='"+quote.Replace(s.value)+"'")
	}
	return strings.Join(parts, " ")
}

func (c conninfo) get(key string) string {
	for i := len(c) - 1; i >= 0; i-- { // the last one counts
		if c[i].key == key {
			return c[i].value
		}
	}
	return ""
}

// with sets a keyword; an empty value takes it out.
func (c conninfo) with(key, value string) conninfo {
	c = slices.DeleteFunc(slices.Clone(c), func(s setting) bool { return s.key == key })
	if value == "" {
		return c
	}
	return append(c, setting{key, value})
}

// upstream is the address the string names, "" where it names none by TCP.
func (c conninfo) upstream() warden.NodeID {
	host, port := c.get("host"), c.get("port")
	if host == "" {
		host = c.get("hostaddr")
	}
	if port == "" {
		port = "5432"
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return ""
	}
	return makeNode(host, n)
}

// makeNode is an address the server told, "" when it is no usable one.
func makeNode(host string, port int) warden.NodeID {
	if host == "" || host[0] == '/' || host[0] == '@' || port < 1 || port > 65535 {
		return ""
	}
	id, err := warden.ParseNode(string(warden.MakeNode(host, port)))
	if err != nil {
		return ""
	}
	return id
}

// parseConninfo reads primary_conninfo. Its errors quote nothing: there may be
// a password in it.
func parseConninfo(text string) (conninfo, error) {
	if strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://") {
		return parseURI(text)
	}
	var out conninfo
	for rest := strings.TrimLeft(text, " \t\r\n"); rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		key, after, found := strings.Cut(rest, "=")
		key = strings.TrimSpace(key)
		if !found || key == "" || strings.ContainsAny(key, " \t\r\n'") {
			return nil, fmt.Errorf("read connection string: a keyword has no value")
		}
		value, tail, err := parseValue(strings.TrimLeft(after, " \t\r\n"))
		if err != nil {
			return nil, fmt.Errorf("read connection string: value of %s: %w", key, err)
		}
		out, rest = append(out, setting{key, value}), tail
	}
	return out, nil
}

// parseValue reads one value, quoted or not, and returns what follows it.
func parseValue(text string) (value, tail string, err error) {
	quoted := strings.HasPrefix(text, "'")
	if quoted {
		text = text[1:]
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case quoted && c == '\'', !quoted && strings.IndexByte(" \t\r\n", c) >= 0:
			return b.String(), text[i+1:], nil
		default:
			b.WriteByte(c)
		}
	}
	if quoted {
		return "", "", fmt.Errorf("the quote is not closed")
	}
	return b.String(), "", nil
}

func parseURI(text string) (conninfo, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read connection string: not a valid URI")
	}
	var out conninfo
	out = out.with("host", u.Hostname()).with("port", u.Port()).with("dbname", strings.TrimPrefix(u.Path, "/"))
	if u.User != nil {
		password, _ := u.User.Password()
		out = out.with("user", u.User.Username()).with("password", password)
	}
	query := u.Query()
	var keys []string
	for key := range query {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		out = out.with(key, query.Get(key))
	}
	return out, nil
}
