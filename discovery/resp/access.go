package resp

import (
	"fmt"
	"time"

	"github.com/spineldb/warden/warden"
)

// Access is the users of this port and what each may do. Errors of its methods
// are told to clients as "ERR " and their text. Safe for concurrent use; Open,
// Has, Login, Check and MayHear are asked by every request, so they wait for
// nobody.
type Access interface {
	// Open reports whether one who does not log in may go on as the user
	// "default".
	Open() bool
	// Has reports whether there is such a user.
	Has(user string) bool
	// Login reports whether these are the credentials of a user who may log in.
	Login(user, password string) bool
	// Check says whether a request is allowed, MayHear whether a user may be
	// subscribed to a channel or a pattern.
	Check(r warden.AccessRequest) warden.Denial
	MayHear(user, channel string, pattern bool) bool

	// Record keeps a denial for ACL LOG. Incidents are the newest n, the newest
	// first.
	Record(i warden.AccessIncident)
	Incidents(n int) []warden.AccessLogEntry
	ForgetIncidents()

	// Categories are the names of all; InCategory the commands of one.
	Categories() []string
	InCategory(category string) ([]string, bool)

	// Users are all names, sorted, Lines the same as "user NAME RULE...".
	Users() []string
	Lines() []string
	User(name string) (warden.AccessUser, bool)
	// SetUser makes or changes a user by all rules or none. DeleteUsers returns
	// how many there were.
	SetUser(name string, rules []string) error
	DeleteUsers(names []string) (int, error)
	// Load and Save read and write the file of users.
	Load() error
	Save() error
}

// anybody is who a connection is before it has logged in.
const anybody = "default"

// userName is the name of the user that the connection is logged in as. It may
// be asked by any goroutine.
func (c *client) userName() string {
	if name := c.user.Load(); name != nil {
		return *name
	}
	return anybody
}

// hasUser reports whether there is such a user.
func (s *Server) hasUser(name string) bool {
	if s.options.Access != nil {
		return s.options.Access.Has(name)
	}
	return name == anybody
}

// open reports whether connections need not log in.
func (s *Server) open() bool {
	if s.options.Access != nil {
		return s.options.Access.Open()
	}
	return s.options.Password == ""
}

// admitted reports whether a connection may give commands at all.
func (c *client) admitted() bool {
	c.authorized = c.authorized || c.server.open()
	return c.authorized
}

const wrongPassword = "WRONGPASS invalid username-password pair or user is disabled."

// login checks credentials and answers only when they are wrong. Without Access
// the only user is "default"; without a password everything is right for it.
func (c *call) login(user, password string) bool {
	access := c.server.options.Access
	var right bool
	if access != nil {
		right = access.Login(user, password)
	} else {
		right = user == anybody && (c.server.passwordIs(password) || c.server.options.Password == "")
	}
	if !right {
		c.server.loginFailed(c, user)
		c.fail(wrongPassword)
		return false
	}
	c.client.user.Store(&user)
	c.client.authorized = true
	return true
}

// loginFailed logs that somebody gave wrong credentials, and not which: at most
// one line a second, however many try.
func (s *Server) loginFailed(c *call, user string) {
	user = clip(user, 128)
	c.incident(warden.Denial{Reason: warden.AccessAuth, Object: clip(c.words[0], 128)}, user)
	failures := s.loginFailures.Add(1)
	now := time.Now().UnixMilli()
	if last := s.failureLogged.Load(); now-last < 1000 || !s.failureLogged.CompareAndSwap(last, now) {
		return
	}
	s.log.Warn("login failed", "client", c.client.conn.RemoteAddr().String(), "user", user, "failed_so_far", failures)
}

// incident keeps a denial for ACL LOG.
func (c *call) incident(d warden.Denial, user string) {
	if access := c.server.options.Access; access != nil {
		access.Record(warden.AccessIncident{Denial: d, User: user, Client: c.client.line(time.Now())})
	}
}

// accessRequest is what Access is asked about.
func accessRequest(user, name string, cmd *command, words []string) warden.AccessRequest {
	r := warden.AccessRequest{User: user, Command: name, Words: words, Free: cmd.free}
	switch name {
	case "publish":
		r.Channels = words[1:2]
	case "subscribe":
		r.Channels = words[1:]
	case "psubscribe":
		r.Channels, r.Patterns = words[1:], true
	}
	return r
}

// denied answers a request that the user has no right to. It reports whether it
// has done so.
func (c *call) denied(cmd *command) bool {
	access := c.server.options.Access
	if access == nil {
		return false
	}
	user := c.client.userName()
	d := access.Check(accessRequest(user, c.name, cmd, c.words))
	switch d.Reason {
	case "":
		return false
	case warden.AccessNobody:
		// Deleted while this request was on its way: Redis answers nothing.
		c.client.cut("its user was deleted")
		return true
	case warden.AccessChannel:
		c.fail("NOPERM No permissions to access a channel")
	default:
		c.fail("%s", "NOPERM "+noRight(user, d))
	}
	d.Object = clip(d.Object, 128)
	c.incident(d, user)
	return true
}

// noRight tells what a user may not do.
func noRight(user string, d warden.Denial) string {
	if d.Reason == warden.AccessChannel {
		return fmt.Sprintf("User %s has no permissions to access the '%s' channel", user, d.Object)
	}
	return fmt.Sprintf("User %s has no permissions to run the '%s' command", user, d.Object)
}

// AccessChanged is to be called after users were changed by others than clients
// of this server: it ends the connections of users that are gone, and those
// that listen to what their user may not hear any more. It does not block. A
// user that was only switched off keeps its connections, as in Redis.
func (s *Server) AccessChanged() { s.accessChanged(nil) }

// accessChanged spares me, whose answer has to be sent yet; it ends after that.
func (s *Server) accessChanged(me *client) {
	if s.options.Access == nil {
		return
	}
	for _, c := range s.everybody() {
		switch why := s.unwanted(c); {
		case why == "":
		case c == me:
			c.quitting, c.linger = true, true
		default:
			c.cut(why)
		}
	}
}

// unwanted says why a connection has to end; empty: it has not.
func (s *Server) unwanted(c *client) string {
	access, user := s.options.Access, c.userName()
	if !s.hasUser(user) {
		return "its user was deleted"
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	for name := range c.channels {
		if !access.MayHear(user, name, false) {
			return "its user may not listen to a channel any more"
		}
	}
	for name := range c.patterns {
		if !access.MayHear(user, name, true) {
			return "its user may not listen to a pattern any more"
		}
	}
	return ""
}

// recheck ends a connection that subscribed while its rights were changed.
func (c *call) recheck() {
	if c.server.options.Access == nil {
		return
	}
	if why := c.server.unwanted(c.client); why != "" {
		c.client.cut(why)
	}
}
