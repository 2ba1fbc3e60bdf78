package proxy_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// TestIdleHTTP2 has connections at rest end on both sides.
func TestIdleHTTP2(t *testing.T) {
	up := h2c.backend(t, echo)
	s := newScene(up)
	s.hcm.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(300 * time.Millisecond)}
	options(t, s.clusters[0], &httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(200 * time.Millisecond)},
	})
	p, addr := serve(t, s, proxy.Options{Concurrency: 1})
	f := dialFrames(t, addr)
	f.ask(1, "GET", "/", true)
	f.answered(1)
	if loop.Driver == "epoll" { // the other one may close before it has written
		if g := want[*http2.GoAwayFrame](f); g.ErrCode != http2.ErrCodeNo || g.LastStreamID != 1 {
			t.Errorf("%v", g)
		}
	}
	for fr := f.read(); fr != nil; fr = f.read() {
		if _, ok := fr.(*http2.GoAwayFrame); !ok {
			t.Errorf("%v at the end", fr)
		}
	}
	wantNoConnections(t, p)
}

// TestDrainHTTP2 ends the proxy while a stream runs.
func TestDrainHTTP2(t *testing.T) {
	came, may := make(chan bool, 1), make(chan bool)
	up := h2c.backend(t, func(w http.ResponseWriter, _ *http.Request) {
		came <- true
		<-may
		_, _ = io.WriteString(w, "done")
	})
	p, err := proxy.New(proxy.Options{Concurrency: 1, DrainTime: patience})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { over <- p.Run(ctx) }()
	if err := p.Apply(newScene(up).over(t, h2c).snapshot(t)); err != nil {
		t.Fatal(err)
	}
	addr := p.Status().Listeners[0].Address.String()
	f, idle := dialFrames(t, addr), dialFrames(t, addr)
	idle.ask(1, "GET", "/", true)
	<-came
	may <- true
	idle.answered(1)
	f.ask(1, "GET", "/", true)
	<-came
	cancel()
	if g := want[*http2.GoAwayFrame](idle); g.ErrCode != http2.ErrCodeNo {
		t.Errorf("%v to the idle client", g)
	}
	if g := want[*http2.GoAwayFrame](f); g.ErrCode != http2.ErrCodeNo || g.LastStreamID != 1<<31-1 {
		t.Errorf("%v, want an announcement", g)
	}
	if g := want[*http2.GoAwayFrame](f); g.ErrCode != http2.ErrCodeNo || g.LastStreamID != 1 {
		t.Errorf("%v, want the end", g)
	}
	close(may)
	if status, body := f.answered(1); status != "200" || body != "done" {
		t.Errorf("the stream that ran: %s %q", status, body)
	}
	if fr := f.read(); fr != nil {
		t.Errorf("%v after the last stream", fr)
	}
	if err := <-over; err != nil {
		t.Error(err)
	}
}

// TestSlowClientsOfOneConnection has clients that do not read share their
// endpoint's connection with one that does.
func TestSlowClientsOfOneConnection(t *testing.T) {
	big := payload(1 << 20)
	up := h2c.backend(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) })
	p, addr := serve(t, newScene(up).over(t, h2c), proxy.Options{Concurrency: 1})
	slow := make([]*frames, 12)
	for i := range slow { // with a window of 64 KiB that stays shut
		slow[i] = dialFrames(t, addr)
		slow[i].ask(1, "GET", "/", true)
		want[*http2.MetaHeadersFrame](slow[i])
	}
	c := h2c.client(t)
	for range 3 {
		resp, err := c.Get("http://" + addr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || !bytes.Equal(got, big) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	for _, f := range slow {
		_ = f.WriteRSTStream(1, http2.ErrCodeCancel)
	}
	wantQuiet(t, p)
}

// TestManyStreams runs uploads and downloads beyond every window, while some
// clients cancel and some read late.
func TestManyStreams(t *testing.T) {
	for _, up := range []protocol{h1, h2c} {
		t.Run(string(up), func(t *testing.T) { manyStreams(t, up) })
	}
}

func manyStreams(t *testing.T, up protocol) {
	big := payload(600 << 10)
	primary := up.backend(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	shadow := up.backend(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p, addr := serve(t, newScene(primary, shadow).over(t, up, up), proxy.Options{Concurrency: 2})
	c := h2c.client(t)
	late := make(chan bool)
	var quick, all sync.WaitGroup
	run := func(i int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr, unsized{bytes.NewReader(big)})
		resp, err := c.Do(req)
		if err != nil {
			t.Errorf("stream %d: %v", i, err)
			return
		}
		defer resp.Body.Close()
		switch i % 3 {
		case 1: // cancels somewhere
			_, _ = io.CopyN(io.Discard, resp.Body, int64(i)*5000)
			return
		case 2:
			<-late
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("stream %d: %d bytes, %v", i, len(got), err)
		}
	}
	for i := range 72 {
		if i%3 == 0 {
			quick.Go(func() { run(i) })
		} else {
			all.Go(func() { run(i) })
		}
	}
	quick.Wait()
	close(late)
	all.Wait()
	wantQuiet(t, p)
}
