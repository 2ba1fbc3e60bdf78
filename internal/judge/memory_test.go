package judge_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// exchangesOfMemory is how many exchanges TestMemoryIsFlat feeds in.
var exchangesOfMemory = flag.Int("exchanges", 9_000, "exchanges of TestMemoryIsFlat; 1000000 shows more, and takes minutes")

// TestMemoryIsFlat: exchanges over 10,000 distinct paths, with fields that have
// names of their own, need no more memory at the end than after the first third.
func TestMemoryIsFlat(t *testing.T) {
	j := judge.New(judge.Options{})
	if err := j.Configure([]judge.Route{routeOf(mirrored())}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	defer func() {
		cancel()
		<-done
	}()
	s := &scene{t: t, judge: j, r: rand.New(rand.NewPCG(1, 2))}
	answer := func(r *rand.Rand, q *request) reply {
		return reply{
			body:    fmt.Sprintf(`{"id":"%s","k%d":%d,"list":%s}`, uuid(r), r.IntN(5000), r.IntN(3), shuffled(r, 4)),
			headers: []string{"x-trace", uuid(r)}, duration: time.Duration(1 + r.IntN(1e9)),
		}
	}
	s.primary, s.shadow, s.baseline = answer, answer, answer
	start := time.Now()
	var after [3]uint64
	for part := range after {
		for i := range *exchangesOfMemory / len(after) {
			n := i % 10_000
			path := fmt.Sprintf("/%c%c/%s/x?q=%d", 'a'+n%26, 'a'+n/26%26, words[n%len(words)], s.n)
			method := "GET"
			if n%2 == 1 { // paths of gRPC are never parameters
				method, path = "POST", fmt.Sprintf("/shop.v%d.Service/Method%d", n%7, n)
			}
			e := s.exchange(&request{method: method, path: path})
			for !j.Offer(traffic.Settled, e) { // the queue is full: it drops, and is offered again
				runtime.Gosched()
			}
		}
		for j.Stats().Waiting > 0 {
			runtime.Gosched()
		}
		after[part] = heap()
	}
	fed := time.Since(start)
	start = time.Now()
	c := s.report()
	took := time.Since(start)
	t.Logf("a report took %v", took)
	t.Logf("heap after each third: %d, %d, %d KiB; %v per exchange; %d endpoints, %d differences listed",
		after[0]>>10, after[1]>>10, after[2]>>10, fed/time.Duration(s.n), len(c.Endpoints), len(c.Differences))
	if n := len(c.Endpoints); n > 1001 || n < 900 {
		t.Errorf("%d endpoints", n)
	}
	if after[2] > after[0]*12/10+(8<<20) || after[2] > 256<<20 {
		t.Errorf("the heap grew from %d to %d KiB", after[0]>>10, after[2]>>10)
	}
	runtime.KeepAlive(j)
}

var words = []string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestOfferAllocatesNothing once its memory is there: it runs on event loops.
func TestOfferAllocatesNothing(t *testing.T) {
	j := judge.New(judge.Options{})
	if err := j.Configure([]judge.Route{routeOf(mirrored())}); err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t, judge: j, r: rand.New(rand.NewPCG(1, 2)), primary: noisyShop(nil), shadow: noisyShop(nil), baseline: noisyShop(nil)}
	e := s.exchange(&request{method: "GET", path: "/items"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- j.Run(ctx) }()
	for range 200 { // items go round
		j.Offer(traffic.Settled, e)
		for j.Stats().Waiting > 0 {
			runtime.Gosched()
		}
	}
	cancel()
	<-done
	if n := testing.AllocsPerRun(1, func() { j.Offer(traffic.Settled, e) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkExchange is what one exchange costs, from its offer to the tables.
func BenchmarkExchange(b *testing.B) {
	for _, test := range []struct {
		name    string
		service service
	}{
		{"equal", func(_ *rand.Rand, q *request) reply { return reply{body: fmt.Sprintf(`{"n":%d,"list":[1,2,3]}`, q.n)} }},
		{"noisy", noisyShop(nil)},
	} {
		b.Run(test.name, func(b *testing.B) {
			j := judge.New(judge.Options{})
			if err := j.Configure([]judge.Route{routeOf(mirrored())}); err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() { _ = j.Run(ctx) }()
			s := &scene{judge: j, r: rand.New(rand.NewPCG(1, 2)), primary: test.service, shadow: test.service, baseline: test.service}
			all := make([]*traffic.Exchange, 512)
			for i := range all {
				all[i] = s.exchange(&request{method: "GET", path: fmt.Sprintf("/items/%d", i)})
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				for !j.Offer(traffic.Settled, all[i%len(all)]) {
					runtime.Gosched()
				}
			}
			for j.Stats().Waiting > 0 {
				runtime.Gosched()
			}
		})
	}
}
