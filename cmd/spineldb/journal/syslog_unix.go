//go:build unix

package journal

import (
	"cmp"
	"fmt"
	"log/slog"
	"log/syslog"
	"strings"
	"time"
)

// reconnectAfter is how long a system without syslog is left in peace.
const reconnectAfter = 5 * time.Second

// facilities are the words of syslog-facility.
var facilities = map[string]syslog.Priority{
	"user": syslog.LOG_USER, "local0": syslog.LOG_LOCAL0, "local1": syslog.LOG_LOCAL1, "local2": syslog.LOG_LOCAL2, "local3": syslog.LOG_LOCAL3,
	"local4": syslog.LOG_LOCAL4, "local5": syslog.LOG_LOCAL5, "local6": syslog.LOG_LOCAL6, "local7": syslog.LOG_LOCAL7,
}

// connection is one to syslog, made when it is needed. The Journal's lock
// guards it.
type connection struct {
	facility syslog.Priority
	ident    string
	socket   string
	writer   *syslog.Writer
	tried    time.Time
}

func openSyslog(o Options) (systemLog, error) {
	word := cmp.Or(strings.ToLower(o.SyslogFacility), "local0")
	facility, ok := facilities[word]
	if !ok {
		return nil, fmt.Errorf("read syslog-facility: %q is none of user and local0 to local7", o.SyslogFacility)
	}
	return &connection{facility: facility, ident: cmp.Or(o.SyslogIdent, "redis"), socket: o.syslogSocket}, nil
}

func (c *connection) write(level slog.Level, message string) error {
	if c.writer == nil {
		if time.Since(c.tried) < reconnectAfter {
			return nil
		}
		c.tried = time.Now()
		network := ""
		if c.socket != "" {
			network = "unixgram"
		}
		w, err := syslog.Dial(network, c.socket, c.facility|syslog.LOG_NOTICE, c.ident)
		if err != nil {
			return fmt.Errorf("write to syslog: %w", err)
		}
		c.writer = w
	}
	say := c.writer.Warning
	switch {
	case level < Verbose:
		say = c.writer.Debug
	case level < Notice:
		say = c.writer.Info
	case level < Warning:
		say = c.writer.Notice
	}
	if err := say(message); err != nil {
		return fmt.Errorf("write to syslog: %w", err)
	}
	return nil
}

func (c *connection) close() error {
	if c.writer == nil {
		return nil
	}
	return c.writer.Close()
}
