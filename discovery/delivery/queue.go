package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Defaults of Options.
const (
	DefaultRunning = 8
	DefaultWaiting = 256
	DefaultFirst   = time.Second
	DefaultMost    = time.Minute
	// sayEvery is the least time between two words about one lane's dropped jobs.
	sayEvery = 10 * time.Second
)

// Options configure a Queue. A zero stands for the default.
type Options struct {
	// Running is how many tries run at the same time, in all lanes together, and
	// Waiting how many jobs one lane keeps, the one being done included.
	Running, Waiting int
	// First is the pause after a job's first failure. It doubles with each, up to
	// Most.
	First, Most time.Duration
	// Dropped is told that jobs of a lane were dropped since it was told last. It
	// is called by Add and by the Queue's goroutines, and must not wait for the
	// Queue. Default: nobody is told.
	Dropped func(lane string, jobs int)
}

// Job is one thing to bring to a receiver.
type Job struct {
	// Lane names the receiver.
	Lane string
	// Do is one try, of at most Limit; try counts from 1. An error that says it is
	// Final is not worth another try.
	Do func(ctx context.Context, try int) error
	// Limit is for one try, and Tries is how many there are at most (0: one).
	Limit time.Duration
	Tries int
	// Done is told how it ended, nil: well. It is not called for what is dropped, or
	// not over when the Queue is closed. nil: nobody is told.
	Done func(err error)
}

// Final is what an error may be that another try would not help.
type Final interface{ Final() bool }

// Queue does jobs. All its methods are safe for concurrent use.
type Queue struct {
	options Options
	ctx     context.Context
	cancel  context.CancelFunc
	running chan struct{} // has an entry for each try that runs
	wg      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	lanes  map[string]*lane
}

type lane struct {
	jobs []Job // the first one is being done
	// dropped counts jobs that nobody was told of yet, saidAt is when somebody was.
	dropped int
	saidAt  time.Time
}

// New makes a Queue. It starts nothing before the first job. Close it.
func New(o Options) *Queue {
	orElse(&o.Running, DefaultRunning)
	orElse(&o.Waiting, DefaultWaiting)
	orElse(&o.First, DefaultFirst)
	orElse(&o.Most, DefaultMost)
	if o.Dropped == nil {
		o.Dropped = func(string, int) {}
	}
	q := &Queue{options: o, running: make(chan struct{}, o.Running), lanes: map[string]*lane{}}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

func orElse[T int | time.Duration](n *T, otherwise T) {
	if *n <= 0 {
		*n = otherwise
	}
}

// Add puts a job at the end of its lane. It never waits.
func (q *Queue) Add(j Job) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	l := q.lanes[j.Lane]
	if l == nil {
		l = &lane{}
		q.lanes[j.Lane] = l
		q.wg.Go(func() { q.work(j.Lane, l) })
	}
	l.jobs = append(l.jobs, j)
	if len(l.jobs) > q.options.Waiting {
		const oldest = 1 // the one before is being done
		l.jobs = append(l.jobs[:oldest:oldest], l.jobs[oldest+1:]...)
		l.dropped++
	}
	n := l.owed(false)
	q.mu.Unlock()
	if n > 0 {
		q.options.Dropped(j.Lane, n)
	}
}

// owed is how many dropped jobs somebody has to be told of now.
func (l *lane) owed(last bool) int {
	if l.dropped == 0 || !last && time.Since(l.saidAt) < sayEvery {
		return 0
	}
	n := l.dropped
	l.dropped, l.saidAt = 0, time.Now()
	return n
}

// work does the jobs of a lane until none is left.
func (q *Queue) work(name string, l *lane) {
	for {
		q.mu.Lock()
		j := l.jobs[0]
		q.mu.Unlock()
		over, err := q.do(&j)
		if over && j.Done != nil {
			j.Done(err)
		}
		q.mu.Lock()
		l.jobs = l.jobs[1:]
		empty := len(l.jobs) == 0 || q.closed
		n := l.owed(empty)
		if empty {
			delete(q.lanes, name)
		}
		q.mu.Unlock()
		if n > 0 {
			q.options.Dropped(name, n)
		}
		if empty {
			return
		}
	}
}

// do tries a job until it is done or not worth another try. over: it ended, and
// not with the Queue.
func (q *Queue) do(j *Job) (over bool, err error) {
	pause := q.options.First
	for try := 1; ; try++ {
		select {
		case q.running <- struct{}{}:
		case <-q.ctx.Done():
			return false, nil
		}
		ctx, cancel := context.WithTimeout(q.ctx, j.Limit)
		err = j.Do(ctx, try)
		cancel()
		<-q.running
		var final Final
		switch {
		case err == nil:
			return true, nil
		case q.ctx.Err() != nil:
			return false, nil
		case try >= j.Tries || errors.As(err, &final) && final.Final():
			return true, err
		}
		select {
		case <-time.After(pause):
		case <-q.ctx.Done():
			return false, nil
		}
		pause = min(2*pause, q.options.Most)
	}
}

// Close ends what runs, forgets what waits, and returns when nothing is left, or
// when ctx ends.
func (q *Queue) Close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.cancel()
	gone := make(chan struct{})
	go func() {
		q.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end deliveries: some did not end when they were told to: %w", ctx.Err())
	}
}
