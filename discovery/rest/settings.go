package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/spineldb/warden/warden"
)

// settings answers GET and PATCH of /config.
func (s *Server) settings(q *request) *answer {
	if q.Method == http.MethodPatch {
		return s.configure(q)
	}
	given, err := q.parameters("group")
	if err != nil {
		return refuse(http.StatusBadRequest, "usage", err.Error())
	}
	c, a := s.inGroup(q, given)
	if a != nil {
		return a
	}
	ctx, cancel := context.WithTimeout(q.Context(), s.options.RequestTimeout)
	defer cancel()
	got := s.dir.Command(ctx, warden.Command{Group: c.view.Name, Wish: warden.WishSettings})
	if got.Settings == nil {
		return render(http.StatusServiceUnavailable, got)
	}
	return render(http.StatusOK, got.Settings)
}

// configure answers PATCH /config and POST /cluster/config. Of several settings all
// are taken or none.
func (s *Server) configure(q *request) *answer {
	fields := map[string]json.RawMessage{}
	if a := q.body(&fields, append([]string{"group", "nodes", "revision"}, warden.SettingNames(false)...)...); a != nil {
		return a
	}
	in := struct {
		Group    string                                `json:"group"`
		Revision *uint64                               `json:"revision"`
		Nodes    map[string]map[string]json.RawMessage `json:"nodes"`
	}{}
	text, _ := json.Marshal(fields) // it was read from such a text
	if err := json.Unmarshal(text, &in); err != nil {
		return refuse(http.StatusBadRequest, "usage", "group is to be text, revision a number, and nodes an object with one for each node, as in {\"10.0.0.2:6379\": {\"nofailover\": true}}")
	}
	cmd := warden.Command{Wish: warden.WishConfigure, Revision: in.Revision}
	for _, name := range warden.SettingNames(false) {
		if raw, is := fields[name]; is {
			if why := wish(&cmd, warden.SettingItem{Name: name}, raw); why != "" {
				return refuse(http.StatusBadRequest, "usage", why)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Nodes)) {
		node, err := warden.ParseNode(clip300(name))
		if err != nil {
			return refuse(http.StatusBadRequest, "usage", "field nodes: "+err.Error())
		}
		for _, tag := range slices.Sorted(maps.Keys(in.Nodes[name])) {
			if !slices.Contains(warden.SettingNames(true), tag) {
				return refuse(http.StatusBadRequest, "usage", q.unknown("tag", tag, warden.SettingNames(true)).Error())
			}
			if why := wish(&cmd, warden.SettingItem{Node: node, Name: tag}, in.Nodes[name][tag]); why != "" {
				return refuse(http.StatusBadRequest, "usage", why)
			}
		}
	}
	if len(cmd.Items) == 0 {
		return refuse(http.StatusBadRequest, "usage", "no setting is given: write {\"failover_paused\": true}")
	}
	var wrong *warden.SettingError
	if _, err := (warden.Settings{}).With(cmd.Items); errors.As(err, &wrong) { // whatever is agreed
		return refuse(statusOfAnswer(warden.Answer{Verdict: warden.VerdictRefused, Code: wrong.Code}), wrong.Code, wrong.Text)
	}
	return s.order(q, in.Group, cmd)
}

// wish adds one setting to a command: true, false, a number or text; null takes
// back what is agreed.
func wish(cmd *warden.Command, item warden.SettingItem, raw json.RawMessage) (problem string) {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return fmt.Sprintf("field %s cannot be read", item.Name)
	}
	switch v := value.(type) {
	case nil:
		item.Unset = true
	case bool:
		item.Value = strconv.FormatBool(v)
	case float64:
		item.Value = string(raw)
	case string:
		item.Value = v
	default:
		return fmt.Sprintf("field %s is to be true, false, a number, text, or null", item.Name)
	}
	cmd.Items = append(cmd.Items, item)
	return ""
}
