package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// scrapeEvery is how often each Warden's metrics are asked for.
const scrapeEvery = time.Second

// audience is those who read what Wardens serve by HTTP and order nothing: readers
// of the stream of events, and a scraper of the metrics.
type audience struct {
	client  http.Client
	cancel  context.CancelFunc
	all     sync.WaitGroup
	readers int
	heard   atomic.Int64 // readers that were told of the new primary
	scraped atomic.Int64 // answers with metrics
	failed  atomic.Int64 // questions for metrics without an answer
}

// seat has so many readers at each Warden, and a scraper. What was begun before an
// error is in the audience too.
func seat(ctx context.Context, web []int, readers int) (*audience, error) {
	a := &audience{client: http.Client{Transport: &http.Transport{}}}
	ctx, a.cancel = context.WithCancel(ctx)
	for _, port := range web {
		for range readers {
			if err := a.read(ctx, port); err != nil {
				return a, err
			}
		}
		a.all.Go(func() { a.scrape(ctx, port) })
	}
	return a, nil
}

func (a *audience) get(ctx context.Context, port int, path string) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(port)+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := a.client.Do(q)
	if err == nil && answer.StatusCode != http.StatusOK {
		_ = answer.Body.Close()
		err = fmt.Errorf("%s of port %d: %s", path, port, answer.Status)
	}
	return answer, err
}

// read connects one reader of events, and has it read until it is cut.
func (a *audience) read(ctx context.Context, port int) error {
	answer, err := a.get(ctx, port, "/events")
	if err != nil {
		return fmt.Errorf("connect reader %d: %w", a.readers+1, err)
	}
	a.readers++
	a.all.Go(func() {
		defer func() { _ = answer.Body.Close() }()
		told := false
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if !told && lines.Text() == "event: +switch-master" {
				told = true
				a.heard.Add(1)
			}
		}
	})
	return nil
}

// scrape asks for metrics each second, as Prometheus would.
func (a *audience) scrape(ctx context.Context, port int) {
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for {
		if a.metrics(ctx, port) == nil {
			a.scraped.Add(1)
		} else if ctx.Err() == nil {
			a.failed.Add(1)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (a *audience) metrics(ctx context.Context, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*askLimit)
	defer cancel()
	answer, err := a.get(ctx, port, "/metrics")
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && !strings.Contains(string(text), "warden_") {
		err = errors.New("there are no metrics of a Warden")
	}
	return err
}

// content checks that everybody was served: each reader was told of the new primary
// before ctx ends, and each question for metrics was answered.
func (a *audience) content(ctx context.Context) error {
	for int(a.heard.Load()) < a.readers {
		if err := pause(ctx, pollEvery); err != nil {
			return fmt.Errorf("%d of %d readers were told of the new primary: %w", a.heard.Load(), a.readers, err)
		}
	}
	if n := a.failed.Load(); n > 0 || a.scraped.Load() == 0 {
		return fmt.Errorf("%d questions for metrics were answered and %d were not", a.scraped.Load(), n)
	}
	return nil
}

func (a *audience) leave() {
	a.cancel()
	a.all.Wait()
	a.client.CloseIdleConnections()
}

// listened measures failovers of our system while events and metrics are read from
// every Warden, beside failovers in silence.
func (b *bench) listened(ctx context.Context) error {
	b.say("\nreaders: kill -9, down_after %s, %d readers of /events and a scraper of /metrics each second at each of %d Wardens, and none\n",
		b.downAfter, b.readers, monitorCount)
	alone, beside, err := b.inTurns(ctx, "readers", "readers", b.attended)
	if err != nil {
		return err
	}
	b.judge(atMost("from +odown with readers: median, in ms, against the longest without", beside.Median, alone.Max))
	return nil
}

// attended makes one trial, with or without readers. Metrics are asked for while
// the failover goes on, wherever in the second it falls.
func (b *bench) attended(ctx context.Context, with bool) (outage, error) {
	return b.accompanied(ctx, with, func(ctx context.Context, r *rig) (company, error) {
		return seat(ctx, r.web, b.readers)
	})
}
