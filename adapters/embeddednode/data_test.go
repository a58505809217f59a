package embeddednode

import (
	"strconv"
	"testing"
	"time"
)

// Goal: a node stays fast while it fills up. When every command looked at all
// keys, this took minutes, and Wardens held a busy node for dead.
func TestManyKeys(t *testing.T) {
	e, err := newEngine()
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	began := time.Now()
	for i := range 20000 {
		if reply := e.do([]string{"SET", "key:" + strconv.Itoa(i), "value"}); string(reply) != "+OK\r\n" {
			t.Fatalf("SET answered %q", reply)
		}
	}
	if snapshot := e.snapshot(); len(snapshot) < 20000*len("key:value") {
		t.Errorf("the snapshot has only %d bytes", len(snapshot))
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("20000 keys took %s", took)
	}
}

// Goal: keys expire however they got their time to live, also one that came
// out of a snapshot.
func TestExpiry(t *testing.T) {
	for name, commands := range map[string][][]string{
		"SET":    {{"set", "k", "v", "PX", "1500"}},
		"PSETEX": {{"PSETEX", "k", "1500", "v"}},
		"EXPIRE": {{"SET", "k", "v"}, {"pexpire", "k", "1500"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := newEngine()
			if err != nil {
				t.Fatal(err)
			}
			defer e.close()
			for _, c := range commands {
				e.do(c)
			}
			if size := e.size(); size != 1 {
				t.Fatalf("%d keys before the time", size)
			}
			copied, err := newEngine()
			if err != nil {
				t.Fatal(err)
			}
			defer copied.close()
			if err := copied.restore(e.snapshot()); err != nil {
				t.Fatal(err)
			}
			limit := time.Now().Add(10 * time.Second)
			for e.size()+copied.size() > 0 {
				if time.Now().After(limit) {
					t.Fatalf("still there: %d and, in the copy, %d keys", e.size(), copied.size())
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
}
