// Package remote asks running Wardens over their client port, like any other
// client of it: what they see, what they tell, and what they answer to orders.
// It decides nothing.
package remote

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/spineldb/warden/cmd/spineldb/config"
	"github.com/spineldb/warden/cmd/spineldb/exit"
	"github.com/spineldb/warden/cmd/spineldb/wording"
)

// maxDial bounds one connection attempt, so that a dead first server does not
// use up the time for the second.
const maxDial = 3 * time.Second

// Target is which Wardens are asked, and how.
type Target struct {
	// Servers are addresses of Wardens, tried in turn.
	Servers []string
	// User is whom to log in as; empty: the default user.
	User     string
	Password config.Secret
	// TLS is how the connection is secured; nil: it is not. Each server is
	// called by the host it is reached at.
	TLS *tls.Config
	// Timeout bounds one question.
	Timeout time.Duration
}

// Conn is a connection to one Warden.
type Conn struct {
	Addr   string
	client *redis.Client
	secure bool // by TLS
}

// Open prepares a connection; the first question makes it. Close it.
func (t Target) Open(addr string) *Conn {
	return &Conn{Addr: addr, secure: t.TLS != nil, client: redis.NewClient(&redis.Options{
		Addr:                  addr,
		Username:              t.User,
		Password:              string(t.Password),
		TLSConfig:             t.TLS,
		Protocol:              2,
		DisableIdentity:       true,
		DialTimeout:           min(t.Timeout, maxDial),
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

func (r *Conn) Close() { _ = r.client.Close() }

// Ask sends one command and returns the text of its reply. If IsReply holds for
// the error, it is the Warden's own answer; else there was none. When ctx ends
// during the question, the connection is closed.
func (r *Conn) Ask(ctx context.Context, args ...any) (string, error) {
	// A read is not woken by a cancelled context, but by a closed connection.
	stop := context.AfterFunc(ctx, r.Close)
	defer stop()
	text, err := r.client.Do(ctx, args...).Text()
	if err != nil && ctx.Err() != nil && !IsReply(err) {
		err = ctx.Err()
	}
	if r.secure && err != nil {
		err = marked(err)
	}
	return text, err
}

// AskJSON sends one command and decodes its reply into out. Errors are as those
// of Ask.
func (r *Conn) AskJSON(ctx context.Context, out any, args ...any) error {
	text, err := r.Ask(ctx, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), out); err != nil {
		return fmt.Errorf("its answer is not a Warden's: %w", err)
	}
	return nil
}

// IsReply reports whether the error is what the server said.
func IsReply(err error) bool {
	var said redis.Error
	return errors.As(err, &said)
}

// isDenied reports whether the server wants another password.
func isDenied(err error) bool {
	return IsReply(err) && (redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") ||
		redis.HasErrorPrefix(err, "NOPERM") || strings.Contains(err.Error(), "AUTH"))
}

// Why words a failed question for people.
func Why(err error) string {
	var operation *net.OpError
	var network net.Error
	if why := whyTLS(err); why != "" {
		return why
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case isDenied(err):
		return "denied (" + wording.Shown(err.Error()) + "): check --user, and --password-file or WARDEN_PASSWORD"
	case IsReply(err) && strings.Contains(err.Error(), "unknown command"):
		return "is not a Warden (" + wording.Shown(err.Error()) + "): name the client port of one"
	case IsReply(err):
		return "answered " + wording.Shown(err.Error())
	case errors.Is(err, io.EOF):
		return "ended the connection without an answer, as one does that serves by TLS alone: try --tls"
	case errors.As(err, &operation):
		return wording.Shown(operation.Err.Error())
	}
	return wording.Shown(err.Error())
}

// First connects to the first server that answers a question, and leaves the
// answer in out. The error names all that were tried and carries an exit code.
func (t Target) First(ctx context.Context, out any, question ...any) (*Conn, error) {
	var tried []string
	denied := 0
	for _, addr := range t.Servers {
		r := t.Open(addr)
		limit, cancel := context.WithTimeout(ctx, min(t.Timeout, 5*time.Second))
		err := r.AskJSON(limit, out, question...)
		cancel()
		if err == nil {
			return r, nil
		}
		r.Close()
		if isDenied(err) {
			denied++
		}
		tried = append(tried, fmt.Sprintf("%s: %s", addr, Why(err)))
	}
	list := strings.Join(tried, "\n  ")
	if denied == len(t.Servers) {
		return nil, exit.With(exit.Refused, "no Warden lets this command in:\n  %s", list)
	}
	return nil, exit.With(exit.Unreachable, "no Warden answers:\n  %s\nstart one, or name one with --server or WARDEN_SERVER", list)
}
