package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

// patients answers the connections of health checks, and notes them.
type patients struct {
	start time.Time

	mu      sync.Mutex
	sick    map[string]string // by address: "refuse" or "hang"
	asked   []string
	now, at int // connections that hang now, and the most there were
}

func (p *patients) set(addr, how string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sick[addr] = how
}

// questions returns and forgets when an address was asked.
func (p *patients) questions() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.asked
	p.asked = nil
	return q
}

func (p *patients) dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	p.mu.Lock()
	p.asked = append(p.asked, time.Since(p.start).String())
	how := p.sick[addr.String()]
	p.now++
	p.at = max(p.at, p.now)
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.now--
		p.mu.Unlock()
	}()
	switch how {
	case "refuse":
		return nil, errors.New("connection refused")
	case "hang":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	near, far := net.Pipe()
	_ = far.Close()
	return near, nil
}

func checking(t *testing.T, opt upstream.MonitorOptions, f func(t *monitored, p *patients)) {
	p := &patients{sick: map[string]string{}}
	opt.Dial = p.dial
	monitoring(t, opt, func(t *monitored) {
		p.start = t.start
		f(t, p)
	})
}

// state is the health of each endpoint by its checks, as "+-".
func (t *monitored) state() string {
	synctest.Wait()
	var b strings.Builder
	healthy := int64(0)
	for _, e := range t.c.Endpoints().All {
		if e.Ailments()&upstream.HealthCheckFailed != 0 {
			b.WriteByte('-')
		} else {
			b.WriteByte('+')
			healthy++
		}
	}
	if t.c.Checks != nil && t.c.Checks.Stats().Healthy != healthy {
		t.Errorf("%d healthy, but the state is %s", t.c.Checks.Stats().Healthy, b.String())
	}
	return b.String()
}

func (t *monitored) wantState(want string) {
	t.Helper()
	if got := t.state(); got != want {
		t.Errorf("after %v: state %s, want %s", time.Since(t.start), got, want)
	}
}

// with is a health check every 10 s.
func with(more string) string {
	return "health_checks: [{timeout: 1s, interval: 10s, unhealthy_threshold: 3, healthy_threshold: 2, tcp_health_check: {}, " + more + "}]"
}

const tcpChecks = "health_checks: [{timeout: 1s, interval: 10s, no_traffic_interval: 10s, unhealthy_threshold: 3, healthy_threshold: 2, tcp_health_check: {}}]"

const first = "10.0.0.1:80"

func TestThresholds(t *testing.T) {
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		t.c = compile(t, t.slots, nil, static(hosts(2)...)+tcpChecks)
		if t.c.Checks.Warm() {
			t.Error("warm before it serves")
		}
		p.set("10.0.0.2:80", "refuse")
		t.m.Serve([]*upstream.Cluster{t.c})
		// The first that passes is enough, the first that fails changes nothing.
		t.wantState("+-")
		if !t.c.Checks.Warm() {
			t.Error("not warm after the first checks")
		}
		p.set(first, "refuse")
		time.Sleep(29 * time.Second)
		t.wantState("+-")
		time.Sleep(2 * time.Second)
		t.wantState("--")

		p.set(first, "")
		time.Sleep(8 * time.Second) // at 40 s
		t.wantState("--")
		time.Sleep(2 * time.Second)
		t.wantState("--")
		p.set(first, "refuse") // the row is broken
		time.Sleep(10 * time.Second)
		p.set(first, "")
		time.Sleep(10 * time.Second)
		t.wantState("--")
		time.Sleep(10 * time.Second)
		t.wantState("+-")

		// Two failures, a success, two failures: never three in a row.
		for _, how := range []string{"refuse", "refuse", "", "refuse", "refuse", ""} {
			p.set(first, how)
			time.Sleep(10 * time.Second)
			t.wantState("+-")
		}
		p.set("10.0.0.2:80", "") // has been asked before: it takes two
		time.Sleep(10 * time.Second)
		t.wantState("+-")
		time.Sleep(10 * time.Second)
		t.wantState("++")
		s := t.c.Checks.Stats()
		if s.Attempt != s.Success+s.Failure || s.NetworkFailure != s.Failure || s.Healthy != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// TestCheckTimes has the times at which an endpoint is asked that is well for
// three checks, then ill for five, then well.
func TestCheckTimes(t *testing.T) {
	tests := []struct {
		name, config string
		traffic      bool
		want         string
	}{
		{"by the interval", with(""), true, "0 10 20 30 40 50 60 70 80 90 100"},
		{
			"each its own", with("unhealthy_interval: 3s, unhealthy_edge_interval: 2s, healthy_edge_interval: 5s, no_traffic_interval: 1s"), true,
			"0 10 20 30 32 34 37 40 43 48 58",
		},
		{"no edges of their own", with("unhealthy_interval: 3s"), true, "0 10 20 30 33 36 39 42 45 55 65"},
		{"without traffic", with("no_traffic_interval: 20s, unhealthy_interval: 3s"), false, "0 20 40 60 80 100 120 140 160 180 200"},
		{"without traffic, by default", with(""), false, "0 60 120 180 240 300 360 420 480 540 600"},
		{
			"without traffic, while healthy", with("no_traffic_interval: 20s, no_traffic_healthy_interval: 30s"), false,
			"0 30 60 90 110 130 150 170 190 210 240",
		},
		{"jitter", with("interval_jitter: 4s, initial_jitter: 6s"), true, "5 18 31 44 57 70 83 96 109 122 135"},
		{"jitter in percent", with("interval_jitter_percent: 40"), true, "0 13 26 39 52 65 78 91 104 117 130"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checking(t, upstream.MonitorOptions{Random: func() uint64 { return 11000 }}, func(t *monitored, p *patients) {
				t.c = compile(t, t.slots, nil, static(first)+tt.config)
				if tt.traffic {
					t.c.Checks.Used()
				}
				t.m.Serve([]*upstream.Cluster{t.c})
				var got []string
				for len(got) < 11 {
					switch len(got) {
					case 3:
						p.set(first, "refuse")
					case 8:
						p.set(first, "")
					}
					synctest.Wait()
					for _, q := range p.questions() {
						d, err := time.ParseDuration(q)
						if err != nil {
							t.Fatal(err)
						}
						got = append(got, fmt.Sprint(int(d.Seconds())))
					}
					time.Sleep(500 * time.Millisecond)
				}
				if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestCheckTimeout(t *testing.T) {
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		t.serve(1, strings.Replace(tcpChecks, "unhealthy_threshold: 3", "unhealthy_threshold: 1", 1))
		t.wantState("+")
		p.set(first, "hang")
		time.Sleep(10900 * time.Millisecond)
		t.wantState("+")
		time.Sleep(200 * time.Millisecond)
		t.wantState("-")
		p.questions()
		time.Sleep(11 * time.Second) // 10 s after it was over
		if diff := cmp.Diff([]string{"21s"}, p.questions()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestChecksAreBounded(t *testing.T) {
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		for _, h := range hosts(150) {
			p.set(h, "hang")
		}
		t.serve(150, tcpChecks)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		if s := t.c.Checks.Stats(); p.at != 64 || s.Attempt != 150 || s.Failure != 128 {
			t.Errorf("%d at once, %+v", p.at, s)
		}
		if t.c.Checks.Warm() {
			t.Error("warm before all were checked")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if !t.c.Checks.Warm() {
			t.Error("not warm")
		}
	})
}

func TestHealthCheckConfig(t *testing.T) {
	const text = `
name: c
load_assignment:
  endpoints:
  - lb_endpoints:
    - endpoint:
        address: {socket_address: {address: 10.0.0.1, port_value: 80}}
        health_check_config: {port_value: 81}
    - endpoint:
        address: {socket_address: {address: 10.0.0.2, port_value: 80}}
        health_check_config: {disable_active_health_check: true}
    - endpoint:
        address: {socket_address: {address: 10.0.0.3, port_value: 80}}
        health_check_config: {address: {socket_address: {address: 10.0.0.9, port_value: 99}}}
`
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		for _, addr := range []string{first, "10.0.0.2:80", "10.0.0.3:80"} {
			p.set(addr, "refuse")
		}
		t.serveText(text + tcpChecks)
		synctest.Wait()
		if e := t.c.Endpoints().All; e[0].Ailments() != 0 || e[1].Ailments() != 0 || e[2].Ailments() != 0 || len(p.questions()) != 2 {
			t.Errorf("%v %v %v", e[0].Ailments(), e[1].Ailments(), e[2].Ailments())
		}
	})
}

func TestChecksNil(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, "name: c")
	c.Checks.Used()
	if c.Checks != nil || !c.Checks.Warm() || c.Checks.Stats() != (upstream.CheckStats{}) {
		t.Errorf("%+v", c.Checks)
	}
}
