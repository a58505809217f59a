package postgreslab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// orderEvery is how soon an order to start a server is seen.
const orderEvery = 10 * time.Millisecond

// Rejoin is a rejoin_command for the servers of the lab: the given example
// script with its options. The script does not start the server itself but
// asks the lab, so that every server stays a child of this process.
func (l *Lab) Rejoin(script string) []string {
	return []string{script, "--map", l.mapFile(), "--user", Superuser, "--sslmode", "disable", "--bin", l.Bin,
		"--start", "touch '" + l.orders() + "'/\"$WARDEN_NODE\""}
}

func (l *Lab) mapFile() string { return filepath.Join(l.Dir, "nodes.map") }
func (l *Lab) orders() string  { return filepath.Join(l.Dir, "orders") }

// enrol makes a server known to the script and to those who order its start.
func (l *Lab) enrol(s *Server) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.servers[s.Addr] = s
	f, err := os.OpenFile(l.mapFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the list of servers: %w", err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s %s\n", s.Addr, s.Dir); err != nil {
		return fmt.Errorf("write the list of servers: %w", err)
	}
	return nil
}

// takeOrders starts servers for which somebody puts a file into a directory.
func (l *Lab) takeOrders() error {
	if err := os.Mkdir(l.orders(), 0o700); err != nil {
		return fmt.Errorf("make directory for orders: %w", err)
	}
	if err := l.account.own(l.orders()); err != nil {
		return err
	}
	l.waiter.Go(func() {
		poll := time.NewTicker(orderEvery)
		defer poll.Stop()
		for {
			select {
			case <-l.quit:
				return
			case <-poll.C:
				l.obey()
			}
		}
	})
	return nil
}

// obey carries out the orders that are there.
func (l *Lab) obey() {
	files, _ := filepath.Glob(filepath.Join(l.orders(), "*"))
	for _, file := range files {
		_ = os.Remove(file)
		l.mu.Lock()
		s := l.servers[warden.NodeID(filepath.Base(file))]
		l.mu.Unlock()
		if s == nil || s.Pid() != 0 {
			continue
		}
		if err := s.Start(); err != nil {
			s.complain(err)
		}
	}
}

// complain writes to the server's log what it could not write itself.
func (s *Server) complain(err error) {
	f, open := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if open != nil {
		return // nothing more can be said
	}
	defer f.Close()
	_, _ = fmt.Fprintln(f, strings.TrimSpace(err.Error()))
}
