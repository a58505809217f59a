package store

import (
	"errors"
	"testing"
	"time"
)

// Goal: every commit is timed once it is on disk, and one that failed is told
// with its error.
func TestCommitsAreTimed(t *testing.T) {
	const slow = 5 * time.Millisecond
	var fail error
	var took []time.Duration
	var errs []error
	// Everything below runs on the writer, or while it waits for this test.
	s := mustOpen(t, t.TempDir(), Options{
		FailWrite: func() error { time.Sleep(slow); return fail },
		Timed:     func(d time.Duration, err error) { took, errs = append(took, d), append(errs, err) },
	})
	took, errs = nil, nil // of the start
	if err := s.SaveRegister("g", sample("g", 1)); err != nil {
		t.Fatal(err)
	}
	fail = errors.New("no space left on device")
	if err := s.Probe(); !errors.Is(err, fail) {
		t.Fatalf("a commit that fails: %v", err)
	}
	if len(took) != 2 || took[0] < slow || took[1] < slow || errs[0] != nil || !errors.Is(errs[1], fail) {
		t.Errorf("commits took %v and ended with %v; want two of %s or more, the second with its error", took, errs, slow)
	}
	fail = nil
	mustClose(t, s)
}
