package main

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// Goal: a seed draws the same storm again, and other seeds draw others.
func TestPlanIsReplayed(t *testing.T) {
	if a, b := plan(7, engineRedis, 12*time.Second), plan(7, engineRedis, 12*time.Second); !reflect.DeepEqual(a, b) {
		t.Errorf("one seed, two storms:\n%v\n%v", a, b)
	}
	if a, b := plan(7, engineRedis, 12*time.Second), plan(8, engineRedis, 12*time.Second); reflect.DeepEqual(a, b) {
		t.Error("two seeds, one storm")
	}
}

// Goal: every kind of fault is drawn by some seed; every storm begins with the
// primary, keeps within its time, and takes data from one Warden and one node at
// most, from none of PostgreSQL. A Warden that joins and is killed counts.
func TestPlanIsFair(t *testing.T) {
	const storm = 12 * time.Second
	for _, engine := range []string{engineRedis, enginePostgres} {
		seen := map[kind]int{}
		for seed := range uint64(500) {
			p := plan(seed, engine, storm)
			lost := map[string]int{}
			for _, f := range p {
				seen[f.Kind]++
				lost[loss(f)]++
				if f.At < 0 || f.At >= storm || f.For <= 0 {
					t.Errorf("%s, seed %d: %s is outside of the storm", engine, seed, f)
				}
			}
			delete(lost, "")
			for what, n := range lost {
				if n > 1 || what == "a node's data" && engine == enginePostgres {
					t.Errorf("%s, seed %d: %s is lost %d times", engine, seed, what, n)
				}
			}
			if !slices.ContainsFunc(p, func(f fault) bool { return f.At < time.Second && f.Who != nil && f.Who[0] == actorPrimary }) {
				t.Errorf("%s, seed %d: nothing happens to the primary", engine, seed)
			}
		}
		for _, w := range weights {
			if seen[w.kind] == 0 {
				t.Errorf("%s: %s was never drawn", engine, w.kind)
			}
		}
	}
}
