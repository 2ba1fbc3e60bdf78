package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// TestClientResetsUpload breaks an upload off on a stream: the connection and
// its other streams go on.
func TestClientResetsUpload(t *testing.T) {
	type end struct {
		n   int64
		err error
	}
	ends := make(chan end, 1)
	begun := make(chan bool, 1)
	take := func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" {
			return
		}
		buf := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, buf)
		begun <- true
		n, err := io.Copy(io.Discard, r.Body)
		ends <- end{n, err}
	}
	for _, shadow := range []protocol{h1, h2c} {
		s := newScene(h2c.backend(t, take), shadow.backend(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		sink := &recorder{}
		p, addr := serve(t, s.over(t, h2c, shadow), proxy.Options{Concurrency: 1, Sink: sink})
		f := dialFrames(t, addr)
		for i := range 3 {
			id := uint32(4*i + 1)
			f.ask(id, "POST", "/", false)
			_ = f.WriteData(id, false, []byte("hello"))
			<-begun
			_ = f.WriteRSTStream(id, http2.ErrCodeCancel)
			if e := <-ends; e.err == nil {
				t.Error("the primary took the upload for complete")
			}
			f.ask(id+2, "GET", "/", true)
			if status, _ := f.answered(id + 2); status != "200" {
				t.Errorf("the next stream: %s", status)
			}
		}
		eventually(t, "copies", func() bool {
			return outcome(p, 0, "request_incomplete") == 3 && outcome(p, 0, "completed") == 3
		})
		if got := sink.wait(t, traffic.Settled, 0); got.primary.Flags != "DC" || got.shadows[0].Outcome != "request_incomplete" {
			t.Errorf("recorded %+v", got)
		}
		wantQuiet(t, p)
		if e := p.Status().Clusters[0].Endpoints[0]; e.CxTotal != 1 || e.CxActive != 1 {
			t.Errorf("%d connections to the primary, %d open", e.CxTotal, e.CxActive)
		}
	}
}

// requestHead is the next request's head, nil at the connection's end.
func (f *frames) requestHead() *http2.MetaHeadersFrame {
	for {
		switch fr := f.read().(type) {
		case *http2.MetaHeadersFrame:
			return fr
		case nil:
			return nil
		}
	}
}

func TestUpstreamResetsStream(t *testing.T) {
	for _, down := range []protocol{h1, h2c} {
		var tries atomic.Int32
		begun := make(chan bool, 1)
		up := framed(t, nil, func(f *frames) {
			for h := f.requestHead(); h != nil; h = f.requestHead() {
				path := h.PseudoValue("path")
				n := tries.Add(1)
				switch {
				case path == "/refuse-once" && n == 1, path == "/refuse":
					_ = f.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
				case path == "/internal":
					_ = f.WriteRSTStream(h.StreamID, http2.ErrCodeInternal)
				case path == "/half":
					f.head(h.StreamID, false, ":status", "200")
					_ = f.WriteData(h.StreamID, false, []byte("half"))
					<-begun
					_ = f.WriteRSTStream(h.StreamID, http2.ErrCodeInternal)
				default:
					f.head(h.StreamID, true, ":status", "200")
				}
			}
		})
		sink := &recorder{}
		p, addr := serve(t, newScene(up).over(t, h2c), proxy.Options{Concurrency: 1, Sink: sink})
		c := down.client(t)
		for i, tt := range []struct {
			path, flags string
			status      int
			tries       int32
			truncated   bool
		}{
			{"/refuse-once", "-", 200, 2, false},
			{"/refuse", "UR", 503, 2, false},
			{"/internal", "UR", 503, 1, false},
			{"/half", "UR", 200, 1, true},
			{"/fine", "-", 200, 1, false},
		} {
			t.Run(fmt.Sprintf("%s%s", down, tt.path), func(t *testing.T) {
				tries.Store(0)
				resp, err := c.Post("http://"+addr+tt.path, "text/plain", strings.NewReader("body"))
				if err != nil {
					t.Fatal(err)
				}
				if tt.truncated {
					begun <- true
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if resp.StatusCode != tt.status || (err != nil) != tt.truncated {
					t.Errorf("%d %q, %v", resp.StatusCode, body, err)
				}
				if down == h2c && tt.truncated && !errors.As(err, new(http2.StreamError)) && !strings.Contains(err.Error(), "stream error") {
					t.Errorf("the client saw %v, want a reset stream", err)
				}
				if n := tries.Load(); n != tt.tries {
					t.Errorf("%d tries, want %d", n, tt.tries)
				}
				if got := sink.wait(t, traffic.Answered, i).primary; got.Flags != tt.flags {
					t.Errorf("recorded %+v, want %s", got, tt.flags)
				}
			})
		}
		wantQuiet(t, p)
	}
}

// TestUpstreamGoesAway ends a connection in both ways while streams run.
func TestUpstreamGoesAway(t *testing.T) {
	var conns atomic.Int32
	up := framed(t, nil, func(f *frames) {
		if conns.Add(1) > 1 {
			for h := f.requestHead(); h != nil; h = f.requestHead() {
				f.head(h.StreamID, true, ":status", "200", "x-conn", "second")
			}
			return
		}
		one, two := f.requestHead(), f.requestHead()
		if one == nil || two == nil {
			t.Error("the connection has ended")
			return
		}
		_ = f.WriteGoAway(one.StreamID, http2.ErrCodeNo, nil)
		f.head(one.StreamID, true, ":status", "200", "x-conn", "first")
		if h := f.requestHead(); h != nil {
			t.Errorf("a stream after GOAWAY: %v", h)
		}
	})
	p, addr := serve(t, newScene(up).over(t, h2c), proxy.Options{Concurrency: 1})
	f := dialFrames(t, addr)
	f.ask(1, "POST", "/", true)
	f.ask(3, "POST", "/", true) // left out by GOAWAY, so it is sent again
	got := map[uint32]string{}
	for range 2 {
		h := want[*http2.MetaHeadersFrame](f)
		for _, field := range h.RegularFields() {
			if field.Name == "x-conn" {
				got[h.StreamID] = h.PseudoValue("status") + " " + field.Value
			}
		}
	}
	if got[1] != "200 first" || got[3] != "200 second" {
		t.Errorf("answers %v", got)
	}
	wantQuiet(t, p)
	eventually(t, "one connection left", func() bool { return p.Status().Clusters[0].Endpoints[0].CxActive == 1 })
}

// TestUpstreamTakesOneStream has an endpoint that allows one at a time.
func TestUpstreamTakesOneStream(t *testing.T) {
	var now atomic.Int32
	two := make(chan bool) // closed once there were two at a time, on two connections
	var once sync.Once
	up := framed(t, []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 1}}, func(f *frames) {
		var open atomic.Uint32
		var answers sync.WaitGroup
		defer answers.Wait()
		for {
			switch fr := f.read().(type) {
			case nil:
				return
			case *http2.MetaHeadersFrame:
				if !open.CompareAndSwap(0, fr.StreamID) {
					f.mu.Lock()
					_ = f.WriteRSTStream(fr.StreamID, http2.ErrCodeRefusedStream)
					f.mu.Unlock()
				} else if now.Add(1) == 2 {
					once.Do(func() { close(two) })
				}
			case *http2.DataFrame:
				if id := fr.StreamID; fr.StreamEnded() && id == open.Load() {
					answers.Go(func() {
						select {
						case <-two:
						case <-t.Context().Done():
						}
						now.Add(-1)
						open.Store(0)
						f.head(id, true, ":status", "200")
					})
				}
			}
		}
	})
	p, addr := serve(t, newScene(up).over(t, h2c), proxy.Options{Concurrency: 1})
	c := h2c.client(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			for range 5 {
				resp, err := c.Post("http://"+addr, "", strings.NewReader("body"))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("%d", resp.StatusCode)
				}
			}
		})
	}
	all.Wait()
	wantQuiet(t, p)
}

// TestUpstreamConnectionDies kills a connection with 20 streams.
func TestUpstreamConnectionDies(t *testing.T) {
	const n = 20
	var conns atomic.Int32
	kill := make(chan bool)
	up := framed(t, nil, func(f *frames) {
		first := conns.Add(1) == 1
		for i := 1; ; i++ {
			h := f.requestHead()
			if h == nil {
				return
			}
			if !first {
				f.head(h.StreamID, true, ":status", "200")
				continue
			}
			if h.PseudoValue("path") == "/begun" {
				f.head(h.StreamID, false, ":status", "200")
			}
			if i == n {
				<-kill
				f.reset()
				return
			}
		}
	})
	p, addr := serve(t, newScene(up).over(t, h2c), proxy.Options{Concurrency: 1})
	f := dialFrames(t, addr)
	for i := range n {
		id := uint32(2*i + 1)
		switch i % 4 {
		case 0:
			f.ask(id, "POST", "/post", true)
		case 1:
			f.ask(id, "GET", "/get", true)
		default:
			f.ask(id, "GET", "/begun", true)
		}
	}
	for range n / 2 {
		want[*http2.MetaHeadersFrame](f)
	}
	close(kill)
	got := map[uint32]string{}
	for len(got) < n {
		switch fr := f.read().(type) {
		case nil:
			t.Fatal("the client's connection has ended")
		case *http2.MetaHeadersFrame:
			got[fr.StreamID] = fr.PseudoValue("status")
		case *http2.RSTStreamFrame:
			got[fr.StreamID] = "reset"
		}
	}
	for id, how := range got {
		if want := []string{"503", "200", "reset", "reset"}[id/2%4]; how != want {
			t.Errorf("stream %d: %s, want %s", id, how, want)
		}
	}
	wantQuiet(t, p)
}

// TestNoConnectionOverHTTP2 has an endpoint that does not take connections: one
// that is being made is given up with the last request that waits for it.
func TestNoConnectionOverHTTP2(t *testing.T) {
	s := newScene(blackhole(t)).over(t, h2c)
	s.clusters[0].ConnectTimeout = durationpb.New(100 * time.Millisecond)
	sink := &recorder{}
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
	f := dialFrames(t, addr)
	for i := range 2 {
		id := uint32(4*i + 1)
		f.ask(id, "GET", "/", true)
		f.ask(id+2, "GET", "/", true)
		for range 2 {
			if h := want[*http2.MetaHeadersFrame](f); h.PseudoValue("status") != "503" {
				t.Errorf("%v", h)
			}
			want[*http2.DataFrame](f)
		}
		if got := sink.wait(t, traffic.Answered, 2*i); got.primary.Flags != "UF" {
			t.Errorf("recorded %+v", got.primary)
		}
		wantNoConnections(t, p)
	}
	if n := p.Status().Clusters[0].Endpoints[0].CxTotal; n != 2 {
		t.Errorf("%d connections were tried", n)
	}
	wantQuiet(t, p)
}
