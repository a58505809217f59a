package rest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/spineldb/warden/warden"
)

// failure is the body of every answer that is an error.
type failure struct {
	// Code is a stable word, Text explains it and names the remedy.
	Code string `json:"code"`
	Text string `json:"text"`
}

// answer is a rendered one, ready for many askers.
type answer struct {
	status     int
	epoch, age []string
	body       []byte
}

// Headers that every answer about a group carries: the epoch of what is agreed,
// and the age of what the answer rests on, in milliseconds.
const (
	headerEpoch = "Warden-Epoch"
	headerAge   = "Warden-Age-Ms"
)

var (
	jsonType = []string{"application/json"}
	noStore  = []string{"no-store"}
)

func (a *answer) send(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = jsonType, noStore
	if a.epoch != nil {
		h[headerEpoch], h[headerAge] = a.epoch, a.age
	}
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead && r.Method != http.MethodOptions {
		_, _ = w.Write(a.body) // who is gone needs no answer
	}
}

// render makes an answer of a value.
func render(status int, value any) *answer {
	body, err := json.Marshal(value)
	if err != nil {
		return render(http.StatusInternalServerError, failure{"internal", "the answer cannot be encoded"})
	}
	return &answer{status: status, body: append(body, '\n')}
}

// about adds the epoch and the age of a view.
func (a *answer) about(v *warden.GroupView, age warden.Duration) *answer {
	a.epoch = []string{strconv.FormatUint(uint64(v.Topology.Epoch), 10)}
	a.age = []string{strconv.FormatInt(age.Milliseconds(), 10)}
	return a
}

func refuse(status int, code, text string) *answer { return render(status, failure{code, text}) }
