package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// TestBadShadowOverHTTP2 has shadows that do everything wrong, and a primary
// that must not notice.
func TestBadShadowOverHTTP2(t *testing.T) {
	drain := func(f *frames) {
		for f.read() != nil {
		}
	}
	shut := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	for _, tt := range []struct {
		name, outcome string
		settings      []http2.Setting
		handle        func(*frames)
		limits        mirror.Limits
		size          int
	}{
		{"hangs", "timed_out", nil, drain, mirror.Limits{Timeout: 200 * time.Millisecond}, 1000},
		{"hangs, without a body", "timed_out", nil, drain, mirror.Limits{Timeout: 200 * time.Millisecond}, 0},
		{"begins and hangs", "timed_out", nil, func(f *frames) {
			for h := f.requestHead(); h != nil; h = f.requestHead() {
				f.head(h.StreamID, false, ":status", "200")
			}
		}, mirror.Limits{Timeout: 200 * time.Millisecond}, 1000},
		{"resets", "reset", nil, func(f *frames) {
			for h := f.requestHead(); h != nil; h = f.requestHead() {
				_ = f.WriteRSTStream(h.StreamID, http2.ErrCodeInternal)
			}
		}, mirror.Limits{}, 1000},
		{"refuses", "reset", nil, func(f *frames) {
			for h := f.requestHead(); h != nil; h = f.requestHead() {
				_ = f.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
			}
		}, mirror.Limits{}, 0},
		{"goes away", "reset", nil, func(f *frames) {
			f.requestHead()
			_ = f.WriteGoAway(0, http2.ErrCodeNo, nil)
			drain(f)
		}, mirror.Limits{}, 0},
		{"breaks the protocol", "reset", nil, func(f *frames) {
			f.requestHead()
			f.send("HTTP/1.1 400 Bad Request\r\n\r\n")
			drain(f)
		}, mirror.Limits{}, 1000},
		{"keeps its window shut", "overrun", shut, drain, mirror.Limits{Buffer: 256 << 10}, 2 << 20},
		{"keeps its window shut, little body", "timed_out", shut, drain, mirror.Limits{Timeout: 200 * time.Millisecond}, 50 << 10},
		{"keeps its window shut, little budget", "dropped_budget", shut, drain, mirror.Limits{MaxBytes: 256 << 10, Buffer: 64 << 20}, 2 << 20},
		{"reads nothing", "overrun", nil, func(f *frames) { <-f.t.Context().Done() }, mirror.Limits{Buffer: 256 << 10}, 2 << 20},
	} {
		for _, down := range []protocol{h1, h2c} {
			t.Run(fmt.Sprintf("%s, from %s", tt.name, down), func(t *testing.T) {
				up := make(chan struct{})
				connected := sync.OnceFunc(func() { close(up) })
				s := newScene(down.backend(t, echo), framed(t, tt.settings, func(f *frames) {
					connected()
					tt.handle(f)
				})).over(t, down, h2c)
				p, addr := serve(t, s, proxy.Options{Concurrency: 1, Shadow: tt.limits})
				c := down.client(t)
				want := payload(tt.size)
				const n = 3
				for range n {
					// A shadow that is not connected to yet would be behind for that reason.
					first := min(len(want), 1)
					body := io.MultiReader(bytes.NewReader(want[:first]), gate(up), bytes.NewReader(want[first:]))
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/x", body)
					if err != nil {
						t.Fatal(err)
					}
					if r.ContentLength = int64(len(want)); len(want) == 0 {
						r.Body = http.NoBody
					}
					resp, err := c.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(resp.Body)
					resp.Body.Close()
					if err != nil || string(got) != "POST /x "+string(want) {
						t.Errorf("%d bytes, %v", len(got), err)
					}
				}
				eventually(t, tt.outcome, func() bool { return outcome(p, 0, tt.outcome) == n })
				wantQuiet(t, p)
			})
		}
	}
}

// gate is an empty reader that ends when the channel is closed.
type gate <-chan struct{}

func (g gate) Read([]byte) (int, error) {
	<-g
	return 0, io.EOF
}

// TestHungShadowHoldsNoPrimary looks at the moment when every copy still waits.
func TestHungShadowHoldsNoPrimary(t *testing.T) {
	shadow := framed(t, nil, func(f *frames) {
		for f.read() != nil {
		}
	})
	p, addr := serve(t, newScene(h2c.backend(t, echo), shadow).over(t, h2c, h2c), proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Timeout: time.Hour, MaxRequests: 150}})
	c := h2c.client(t)
	const n = 200
	for range n {
		resp, err := c.Post("http://"+addr+"/x", "", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if waiting, dropped := outcome(p, 0, "in_flight"), outcome(p, 0, "dropped_budget"); waiting != 150 || dropped != n-150 {
		t.Errorf("%d in flight, %d dropped", waiting, dropped)
	}
}

// TestUnreadHeadsAreBounded floods a shadow that reads nothing with heads,
// which no window bounds: no connection collects them without end.
func TestUnreadHeadsAreBounded(t *testing.T) {
	shadow := peer(t, func(w *wire) {
		_ = w.SetReadBuffer(4 << 10)
		<-t.Context().Done()
	})
	p, addr := serve(t, newScene(backend(t, func(http.ResponseWriter, *http.Request) {}), shadow).over(t, h1, h2c),
		proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Timeout: 20 * time.Millisecond}})
	c := dial(t, addr)
	request := "GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 16<<10) + "\r\n\r\n"
	for range 1000 {
		c.send("%s", request)
		if resp, _ := c.response("GET"); resp.StatusCode != 200 {
			t.Fatal(resp.Status)
		}
	}
	wantQuiet(t, p)
	if n := p.Status().Clusters[1].Endpoints[0].CxTotal; n < 2 {
		t.Errorf("%d connections took all of it", n)
	}
}
