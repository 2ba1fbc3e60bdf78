package proxy_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func listening(handle func(w *wire)) func(t testing.TB) string {
	return func(t testing.TB) string { return peer(t, handle) }
}

// misbehaving is every kind of shadow that an upload may meet, with the
// outcomes that it may have.
func misbehaving() map[string]struct {
	shadow   func(t testing.TB) string
	small    string
	large    string // "a|b" where it depends on who is first
	answered int
} {
	type kind = struct {
		shadow   func(t testing.TB) string
		small    string
		large    string
		answered int
	}
	return map[string]kind{
		"refuses":        {refused, "connect_failed", "connect_failed|overrun", 0},
		"black hole":     {blackhole, "connect_failed", "connect_failed|overrun", 0},
		"never answers":  {listening(noAnswer), "timed_out", "timed_out", 0},
		"closes":         {listening(closeAtOnce), "reset", "reset", 0},
		"closes at once": {listening(func(*wire) {}), "reset", "reset|overrun", 0},
		"resets":         {listening(resetAtOnce), "reset", "reset", 0},
		"resets early":   {listening((*wire).reset), "reset|connect_failed", "reset|connect_failed|overrun", 0},
		"garbage":        {listening(func(w *wire) { w.request(); w.send("what?\r\n\r\n"); _, _ = w.rest() }), "reset", "reset", 0},
		"breaks its answer": {listening(func(w *wire) {
			w.request()
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
		}), "reset", "reset", 200},
		"answers slowly for ever": {listening(func(w *wire) {
			w.request()
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			_, _ = w.rest()
		}), "timed_out", "timed_out", 200},
		"huge answer": {listening(func(w *wire) {
			w.request()
			w.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 33554432\r\n\r\n")
			_, _ = w.Write(make([]byte, 32<<20))
		}), "completed", "completed", 200},
		"answer until close": {listening(func(w *wire) {
			w.request()
			w.send("HTTP/1.1 500 No\r\n\r\nbecause")
		}), "completed", "completed", 500},
		"answers early": {listening(func(w *wire) {
			_, _ = http.ReadRequest(w.r)
			w.send("HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
			_, _ = w.rest()
		}), "completed", "completed", 413},
		"interim answers": {listening(func(w *wire) {
			w.request()
			w.send(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 50) + "HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n")
			_, _ = w.rest()
		}), "completed", "completed", 204},
	}
}

// TestMisbehavingShadows wants the primary to be fine and each copy to end in
// the right outcome, whatever the shadow does.
func TestMisbehavingShadows(t *testing.T) {
	for name, tt := range misbehaving() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(backend(t, echo), tt.shadow(t))
			s.clusters[1].ConnectTimeout = durationpb.New(300 * time.Millisecond)
			sink := &recorder{}
			// The buffer holds all of an upload: who is slow only by chance does not count.
			limits := mirror.Limits{Timeout: patience, Buffer: 32 << 20}
			if tt.small == "timed_out" {
				limits.Timeout = 300 * time.Millisecond
			}
			p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink, Shadow: limits})
			c := client(t)
			for i, n := range []int{0, 1 << 10, 4 << 20} {
				body := payload(n)
				resp, err := c.Post("http://"+addr+"/", "", bytes.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || !bytes.Equal(got, append([]byte("POST / "), body...)) {
					t.Errorf("%d bytes: the primary's answer: %d, %d bytes, %v", n, resp.StatusCode, len(got), err)
				}
				want := tt.small
				if n > 1<<20 {
					want = tt.large
				}
				e := sink.wait(t, traffic.Settled, i)
				if len(e.shadows) != 1 || !strings.Contains("|"+want+"|", "|"+e.shadows[0].Outcome+"|") || tt.answered != e.shadows[0].Status && n < 1<<20 {
					t.Errorf("%d bytes: recorded %+v, want %s", n, e.shadows, want)
				}
				if e.primary.Flags != "-" || e.primary.Status != 200 {
					t.Errorf("%d bytes: primary %+v", n, e.primary)
				}
			}
			balanced(t, p)
			wantNoBudgetUsed(t, p)
			if n := stat(p, "cluster.primary.upstream_rq_retry") + stat(p, "cluster.primary.upstream_rq_rx_reset"); n != 0 {
				t.Errorf("the primary's counters show %d failures", n)
			}
		})
	}
}

// TestSlowShadow uploads 16 MiB past a shadow that reads nothing: it is reset,
// and never gets what it might take for a complete request.
func TestSlowShadow(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		read, over := make(chan bool), make(chan error, 1)
		got := make(chan int, 1)
		shadow := peer(t, func(w *wire) {
			<-read // not before the primary has answered
			all, err := w.rest()
			got <- len(all)
			over <- err
		})
		sink := &recorder{}
		_, addr := serve(t, newScene(backend(t, echo), shadow), proxy.Options{Concurrency: 1, Sink: sink})
		body := payload(16 << 20)
		var r io.Reader = bytes.NewReader(body)
		if chunked {
			r = unsized{r}
		}
		resp, err := client(t).Post("http://"+addr+"/", "", r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.HasSuffix(back, body) {
			t.Errorf("the primary's answer: %d bytes, %v", len(back), err)
		}
		e := sink.wait(t, traffic.Settled, 0)
		close(read)
		if n, err := <-got, <-over; !isReset(err) || n >= len(body) {
			t.Errorf("chunked %v: the shadow got %d bytes and %v, want a reset", chunked, n, err)
		}
		if e.shadows[0].Outcome != "overrun" || e.bytes != int64(len(body)) {
			t.Errorf("chunked %v: recorded %+v", chunked, e)
		}
	}
}

// TestClientBreaksOff wants the shadow of an upload that was broken off to see
// a reset.
func TestClientBreaksOff(t *testing.T) {
	for _, tt := range []struct{ name, head string }{
		{"length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"},
		{"chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			came, over := make(chan bool, 2), make(chan error, 2)
			reader := func(w *wire) {
				r, err := http.ReadRequest(w.r)
				if err == nil {
					_, err = io.ReadFull(r.Body, make([]byte, 3))
				}
				came <- true
				if err == nil {
					if _, err = w.rest(); err == io.EOF {
						err = io.ErrUnexpectedEOF
					}
				}
				over <- err
			}
			sink := &recorder{}
			_, addr := serve(t, newScene(peer(t, reader), peer(t, reader)), proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			c.send("%s", tt.head)
			if tt.name != "bad chunk" {
				<-came
				<-came
				_ = c.Close()
			}
			for range 2 {
				// io.EOF: nothing of the request had come yet
				if err := <-over; !isReset(err) && (tt.name != "bad chunk" || err != io.EOF) {
					t.Errorf("%v, want a reset", err)
				}
			}
			if got := sink.wait(t, traffic.Settled, 0).shadows; len(got) != 1 || got[0].Outcome != "request_incomplete" {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

// TestPrimaryFailsShadowDoesNot has a primary that refuses: the request was
// forwarded, so it was copied.
func TestPrimaryFailsShadowDoesNot(t *testing.T) {
	p, addr := serve(t, newScene(refused(t), backend(t, echo)), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, _ := c.response("GET"); resp.StatusCode != 503 {
		t.Error(resp.Status)
	}
	wantCompleted(t, p, 1)
}

// TestLoadWithBrokenShadows polls the ledger while requests are under way with
// shadows of all kinds. It balances whenever somebody looks.
func TestLoadWithBrokenShadows(t *testing.T) {
	var shadows []string
	for name, k := range misbehaving() {
		if name != "huge answer" { // it would be most of the work
			shadows = append(shadows, k.shadow(t))
		}
	}
	shadows = append(shadows, backend(t, echo))
	s := newScene(backend(t, echo), shadows...).share(700_000)
	for _, c := range s.clusters[1:] {
		c.ConnectTimeout = durationpb.New(100 * time.Millisecond)
	}
	limits := mirror.Limits{Timeout: 200 * time.Millisecond, MaxRequests: 40}
	p, addr := serve(t, s, proxy.Options{Concurrency: 2, Shadow: limits})
	const clients, each = 4, 30
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			nc, err := net.Dial("tcp", addr)
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			w := newWire(t, nc)
			body := strings.Repeat("b", 1+i*20_000)
			for range each {
				w.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
				resp, err := http.ReadResponse(w.r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err != nil || len(got) != len("POST / ")+len(body) {
					t.Errorf("%s, %d bytes, %v", resp.Status, len(got), err)
				}
			}
		})
	}
	over := make(chan bool)
	go func() { all.Wait(); close(over) }()
	looks := 0
	for done := false; !done; looks++ {
		select {
		case <-over:
			done = true
		default:
		}
		balanced(t, p)
	}
	eventually(t, "nothing in flight", func() bool {
		for i := range shadows {
			if outcome(p, i, "in_flight") > 0 {
				return false
			}
		}
		return true
	})
	wantNoBudgetUsed(t, p)
	if l := balanced(t, p); l.Forwarded != clients*each {
		t.Errorf("%d forwarded", l.Forwarded)
	}
	if looks < 3 {
		t.Errorf("looked only %d times", looks)
	}
}

// wantNoBudgetUsed is for when every copy has settled.
func wantNoBudgetUsed(t testing.TB, p *proxy.Proxy) {
	t.Helper()
	if requests, bytes := p.BudgetsInUse(); requests != 0 || bytes != 0 {
		t.Errorf("%d copies and %d bytes are still in the budget", requests, bytes)
	}
}

// balanced checks that the outcomes of every mirror sum to what its route has
// forwarded.
func balanced(t testing.TB, p *proxy.Proxy) mirror.Report {
	t.Helper()
	l := p.Status().Ledger
	var forwarded uint64
	for _, r := range l.Routes {
		forwarded += r.Forwarded
		for _, m := range r.Mirrors {
			sum := uint64(0)
			for _, n := range m.Outcomes {
				sum += n
			}
			if sum != r.Forwarded {
				t.Errorf("%s: %d forwarded, the outcomes of %s sum to %d: %v", r.Route, r.Forwarded, m.Cluster, sum, m.Outcomes)
			}
		}
	}
	if forwarded != l.Forwarded {
		t.Errorf("%d forwarded, the routes sum to %d", l.Forwarded, forwarded)
	}
	return l
}
