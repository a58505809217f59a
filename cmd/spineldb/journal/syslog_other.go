//go:build !unix

package journal

import "errors"

func openSyslog(Options) (systemLog, error) {
	return nil, errors.New("open syslog: this system has none: set syslog-enabled no")
}
