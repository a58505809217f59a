package warden

// The nouns of access control on the client port. They stand here because the
// port (discovery/resp) and the list of users (discovery/acl) do not know each
// other. Names of commands are in lower case, a subcommand's after a pipe:
// "sentinel|master".

// AccessRequest is a command that a user is about to run.
type AccessRequest struct {
	User    string
	Command string
	// Words are all words of the request, the command's own included.
	Words []string
	// Channels are those that the command listens or publishes to. As Patterns
	// they must be granted word for word: whether one pattern covers another
	// is not worked out.
	Channels []string
	Patterns bool
	// Free commands may be run by everybody, such as AUTH.
	Free bool
}

// AccessReason says what a denial is about, in the words of ACL LOG.
type AccessReason string

// The reasons of a denial.
const (
	AccessCommand AccessReason = "command"
	AccessChannel AccessReason = "channel"
	AccessAuth    AccessReason = "auth"
	// AccessNobody: there is no such user any more.
	AccessNobody AccessReason = "user"
)

// Denial says why a request is not allowed; the zero value allows it. Object is
// the command or channel that the user has no right to.
type Denial struct {
	Reason AccessReason
	Object string
}

// AccessIncident is one denial as ACL LOG keeps it. Client describes the
// connection as CLIENT LIST does.
type AccessIncident struct {
	Denial
	User   string
	Client string
}

// AccessLogEntry is an incident, or several alike within a minute. The times are
// Unix milliseconds.
type AccessLogEntry struct {
	AccessIncident
	ID, Count        int64
	Created, Updated int64
}

// AccessUser describes a user as ACL GETUSER does. Passwords are SHA-256 sums in
// hexadecimal. The first of Rules are the user's own, the others selectors.
type AccessUser struct {
	Flags     []string
	Passwords []string
	Rules     []AccessRules
}

// AccessRules are what a user or a selector allows, as rules separated by blanks.
type AccessRules struct {
	Commands, Keys, Channels string
}
