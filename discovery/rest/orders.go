package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spineldb/warden/warden"
)

// refuseStranger answers those who change something without the token.
func (s *Server) refuseStranger(r *http.Request) *answer {
	if s.options.Token == "" {
		return refuse(http.StatusForbidden, "no-token", "nobody may change anything here, because no token is configured: set token_file under [http]")
	}
	kind, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(given)))
	if !strings.EqualFold(kind, "Bearer") || subtle.ConstantTimeCompare(sum[:], s.token[:]) != 1 {
		return refuse(http.StatusUnauthorized, "token", "changes need the token of this Warden: send Authorization: Bearer TOKEN")
	}
	return nil
}

// body reads a JSON object with no other fields than those of out, whose names
// are known. An empty body is an empty object.
func (q *request) body(out any, known ...string) *answer {
	if kind := q.Header.Get("Content-Type"); kind != "" {
		media, _, err := mime.ParseMediaType(kind)
		if err != nil || media != "application/json" && media != "application/x-www-form-urlencoded" {
			return refuse(http.StatusUnsupportedMediaType, "usage", "the body is to be JSON: send Content-Type: application/json")
		}
	}
	text, err := io.ReadAll(http.MaxBytesReader(q.w, q.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the body is larger than %d bytes", maxBody))
	case err != nil:
		return refuse(http.StatusBadRequest, "usage", "the body did not arrive as a whole")
	case len(bytes.TrimSpace(text)) == 0:
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return refuse(http.StatusBadRequest, "usage", "the body is not a JSON object: write {\"name\": value}")
	}
	for name := range fields {
		if !slices.Contains(known, name) {
			return refuse(http.StatusBadRequest, "usage", q.unknown("field", name, known).Error())
		}
	}
	if err := json.Unmarshal(text, out); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return refuse(http.StatusBadRequest, "usage", fmt.Sprintf("field %s is a %s, but %s is wanted", wrong.Field, wrong.Value, kindOf(wrong)))
		}
		return refuse(http.StatusBadRequest, "usage", "the body cannot be read: "+clip(err.Error()))
	}
	return nil
}

func kindOf(e *json.UnmarshalTypeError) string {
	if e.Type.Kind().String() == "bool" {
		return "true or false"
	}
	return "text"
}

// switchover answers POST /switchover.
func (s *Server) switchover(q *request) *answer {
	in := struct {
		Group string `json:"group"`
		To    string `json:"to"`
		Wait  *bool  `json:"wait"`
	}{}
	if a := q.body(&in, "group", "to", "wait"); a != nil {
		return a
	}
	cmd := warden.Command{Wish: warden.WishSwitchover, Wait: in.Wait == nil || *in.Wait}
	if in.To != "" {
		node, err := warden.ParseNode(clip300(in.To))
		if err != nil {
			return refuse(http.StatusBadRequest, "usage", "field to: "+err.Error())
		}
		cmd.To = node
	}
	return s.order(q, in.Group, cmd)
}

func (s *Server) pause(q *request) *answer  { return s.simpleOrder(q, warden.WishPause) }
func (s *Server) resume(q *request) *answer { return s.simpleOrder(q, warden.WishResume) }

func (s *Server) simpleOrder(q *request, wish warden.Wish) *answer {
	in := struct {
		Group string `json:"group"`
	}{}
	if a := q.body(&in, "group"); a != nil {
		return a
	}
	return s.order(q, in.Group, warden.Command{Wish: wish})
}

// order gives an order to the group that the body, the path or the query names.
func (s *Server) order(q *request, group string, cmd warden.Command) *answer {
	given, err := q.parameters("group")
	if err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	if group != "" {
		if given["group"] != "" || q.group != "" {
			return refuse(http.StatusBadRequest, "usage", "the group is named in the body and elsewhere: keep one of the two")
		}
		given = map[string]string{"group": group}
	}
	c, a := s.inGroup(q, given)
	if a != nil {
		return a
	}
	cmd.Group = c.view.Name
	limit := s.options.OrderTimeout
	if cmd.Wait {
		limit += time.Duration(c.view.FailoverTimeout)
	}
	ctx, cancel := context.WithTimeout(q.Context(), limit)
	defer cancel()
	// The answer may come later than that of a question. Nothing more is read, and
	// a deadline for that would end the order.
	out := http.NewResponseController(q.w)
	_ = out.SetWriteDeadline(time.Now().Add(limit + s.options.RequestTimeout))
	_ = out.SetReadDeadline(time.Time{})
	got := s.dir.Command(ctx, cmd)
	s.log.Info("order by HTTP", "group", string(cmd.Group), "wish", string(cmd.Wish), "to", string(cmd.To), "settings", len(cmd.Items),
		"from", q.RemoteAddr, "verdict", string(got.Verdict), "code", got.Code, "text", got.Text)
	return render(statusOfAnswer(got), got)
}

// statusOfAnswer is the status that says how an order ended.
func statusOfAnswer(a warden.Answer) int {
	switch a.Verdict {
	case warden.VerdictDone:
		return http.StatusOK
	case warden.VerdictStarted:
		return http.StatusAccepted
	case warden.VerdictUnknown:
		return http.StatusGatewayTimeout
	}
	switch a.Code {
	case "unknown-group":
		return http.StatusNotFound
	case "usage":
		return http.StatusBadRequest
	case "not-settable":
		return http.StatusNotImplemented
	case "not-agreed", "stopping", "store":
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

// failsafe answers POST /failsafe.
func (s *Server) failsafe(*request) *answer {
	return refuse(http.StatusNotImplemented, "no-agent", "failsafe mode needs an agent on the hosts of the nodes, which there is not yet")
}
