package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/urfave/cli/v2"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/wording"
	"github.com/spineldb/warden/warden"
)

const (
	defaultServer = "127.0.0.1:26379"
	// maxDial bounds one connection attempt, so that a dead first server does
	// not use up the time for the second.
	maxDial = 3 * time.Second
)

// target is whom a command asks, and how.
type target struct {
	servers  []string
	password config.Secret
	timeout  time.Duration
	json     bool
}

// targetOf reads the connection flags.
func targetOf(c *cli.Context) (target, error) {
	t := target{timeout: c.Duration("timeout"), json: c.Bool("json"), password: config.Secret(c.String("password"))}
	if t.timeout <= 0 {
		return t, exit.WrongUsage("--timeout is %s: write a time above zero, such as 5s", t.timeout)
	}
	for _, s := range c.StringSlice("server") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		addr, err := serverAddress(s)
		if err != nil {
			return t, exit.WrongUsage("--server: %v", err)
		}
		t.servers = append(t.servers, addr)
	}
	if len(t.servers) == 0 {
		t.servers = []string{defaultServer}
	}
	if file := c.String("password-file"); file != "" {
		if t.password != "" {
			return t, exit.WrongUsage("both a password and a password file are given, as flags or in WARDEN_PASSWORD and WARDEN_PASSWORD_FILE: keep one")
		}
		data, _, err := config.ReadSmallFile(file)
		if err != nil {
			return t, exit.WrongUsage("read password file: %v", err)
		}
		t.password = config.Secret(wording.TrimNewline(string(data)))
	}
	return t, nil
}

// serverAddress adds the usual port where none is given.
func serverAddress(s string) (string, error) {
	bare := strings.Trim(s, "[]")
	if _, err := netip.ParseAddr(bare); err == nil || !strings.Contains(s, ":") {
		return string(warden.MakeNode(bare, config.DefaultPort)), nil
	}
	n, err := warden.ParseNode(s)
	return string(n), err
}

// remote is a connection to one Warden.
type remote struct {
	addr   string
	client *redis.Client
}

// open prepares a connection; the first question makes it.
func (t target) open(addr string) *remote {
	return &remote{addr: addr, client: redis.NewClient(&redis.Options{
		Addr:                  addr,
		Password:              string(t.password),
		Protocol:              2,
		DisableIdentity:       true,
		DialTimeout:           min(t.timeout, maxDial),
		ReadTimeout:           -1, // the context alone decides
		WriteTimeout:          -1,
		ContextTimeoutEnabled: true,
		PoolSize:              2,
		// An order is never repeated behind the operator's back.
		MaxRetries:               -1,
		DialerRetries:            1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})}
}

func (r *remote) close() { _ = r.client.Close() }

// ask sends one command and returns the text of its reply. An error of type
// redis.Error is the Warden's own answer; any other means there was none.
func (r *remote) ask(ctx context.Context, args ...any) (string, error) {
	// A read is not woken by a cancelled context, but by a closed connection.
	stop := context.AfterFunc(ctx, r.close)
	defer stop()
	text, err := r.client.Do(ctx, args...).Text()
	if err != nil && ctx.Err() != nil && !isReply(err) {
		err = ctx.Err()
	}
	return text, err
}

// askJSON sends one command and decodes its reply into out.
func (r *remote) askJSON(ctx context.Context, out any, args ...any) error {
	text, err := r.ask(ctx, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("its answer is not a Warden's: %w", err)
	}
	return nil
}

// isReply reports whether the error is what the server said.
func isReply(err error) bool {
	var said redis.Error
	return errors.As(err, &said)
}

// isDenied reports whether the server wants another password.
func isDenied(err error) bool {
	return isReply(err) && (redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") ||
		redis.HasErrorPrefix(err, "NOPERM") || strings.Contains(err.Error(), "AUTH"))
}

// why words a failed question for people.
func why(err error) string {
	var operation *net.OpError
	var network net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case isDenied(err):
		return "denied (" + wording.Shown(err.Error()) + "): check --password-file or WARDEN_PASSWORD"
	case isReply(err) && strings.Contains(err.Error(), "unknown command"):
		return "is not a Warden (" + wording.Shown(err.Error()) + "): name the client port of one"
	case isReply(err):
		return "answered " + wording.Shown(err.Error())
	case errors.As(err, &operation):
		return wording.Shown(operation.Err.Error())
	}
	return wording.Shown(err.Error())
}

// first connects to the first server that answers a question, and leaves the
// answer in out.
func (t target) first(ctx context.Context, out any, question ...any) (*remote, error) {
	var tried []string
	denied := 0
	for _, addr := range t.servers {
		r := t.open(addr)
		limit, cancel := context.WithTimeout(ctx, min(t.timeout, 5*time.Second))
		err := r.askJSON(limit, out, question...)
		cancel()
		if err == nil {
			return r, nil
		}
		r.close()
		if isDenied(err) {
			denied++
		}
		tried = append(tried, fmt.Sprintf("%s: %s", addr, why(err)))
	}
	list := strings.Join(tried, "\n  ")
	if denied == len(t.servers) {
		return nil, exit.With(exit.Refused, "no Warden lets this command in:\n  %s", list)
	}
	return nil, exit.With(exit.Unreachable, "no Warden answers:\n  %s\nstart one, or name one with --server or WARDEN_SERVER", list)
}
