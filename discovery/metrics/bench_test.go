package metrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/spineldb/warden/discovery/directorytest"
	"github.com/spineldb/warden/warden"
)

// BenchmarkScrape is one answer to Prometheus by a Warden of so many groups, of
// three nodes each. What the directory takes to build its views is not in it.
func BenchmarkScrape(b *testing.B) {
	for _, groups := range []int{1, 100, 500} {
		b.Run(fmt.Sprint(groups), func(b *testing.B) {
			d := &directorytest.Directory{Clock: warden.Instant(100 * warden.Second)}
			for i := range groups {
				d.Views = append(d.Views, sample(warden.GroupName(fmt.Sprintf("group-%d", i))))
			}
			m, err := New(Options{Directory: d})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/metrics", nil)
			size := 0
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				m.ServeHTTP(w, r)
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "bytes/answer")
		})
	}
}

// BenchmarkObserve is what an event costs the one who announces it.
func BenchmarkObserve(b *testing.B) {
	d := &directorytest.Directory{Views: []warden.GroupView{sample("g")}}
	m, err := New(Options{Directory: d})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(warden.Event{Group: "g", Name: "+slave-reconf-sent"})
	}
}
