package rest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// No request whatsoever makes the server panic or answer anything but JSON with
// a known status, and without the token none of them is an order.
func FuzzRequest(f *testing.F) {
	for path := range routes {
		f.Add("GET", "/"+path, "node="+nodeB+"&lag=1MB&tag_nosync=true", "", true)
		f.Add("POST", "/groups/mymaster/"+path, "group=mymaster", `{"to":"10.0.0.2:6379","wait":false}`, false)
	}
	f.Add("OPTIONS", "/groups/mymaster/nodes/[::1]:6379/primary", "%zz", "{}{}", true)
	f.Add("POST", "/cluster/config", "", `{"failover_paused":null,"group":[]}`, true)
	f.Fuzz(func(t *testing.T, method, path, query, body string, known bool) {
		dir := newDirectory()
		s, err := New(Options{Directory: dir, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", strings.NewReader(body))
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		if known {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		s.serve(w, r)
		if !slices.Contains([]int{200, 202, 400, 401, 404, 405, 409, 413, 415, 501, 503, 504}, w.Code) {
			t.Errorf("%q %q?%q: status %d", method, path, query, w.Code)
		}
		if text := w.Body.Bytes(); len(text) > 0 && !json.Valid(text) {
			t.Errorf("%q %q?%q: %q", method, path, query, text)
		}
		orders := dir.Ordered()
		if len(orders) > 0 && (!known || method != http.MethodPost || orders[0].Group != "mymaster") {
			t.Errorf("%q %q?%q with %q gave the orders %+v", method, path, query, body, orders)
		}
	})
}
