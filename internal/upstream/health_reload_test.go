package upstream_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func TestChecksSurviveReloads(t *testing.T) {
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		p.set("10.0.0.2:80", "refuse")
		t.serve(2, tcpChecks)
		t.wantState("+-")
		// Neither state nor schedule change; who is new begins at once.
		time.Sleep(5 * time.Second)
		p.set("10.0.0.3:80", "hang")
		p.questions()
		t.serve(3, tcpChecks)
		t.wantState("+--")
		if diff := cmp.Diff([]string{"5s"}, p.questions()); diff != "" {
			t.Error(diff)
		}
		p.set("10.0.0.3:80", "")
		time.Sleep(12 * time.Second)
		if s := t.c.Checks.Stats(); s.Attempt != 6 {
			t.Errorf("%+v", s)
		}

		// Another check begins at once, from where the endpoints stand.
		p.questions()
		t.serve(3, strings.Replace(tcpChecks, "interval: 10s", "interval: 20s", 1))
		t.wantState("+-" + t.state()[2:])
		if n := len(p.questions()); n != 3 {
			t.Errorf("%d checks", n)
		}

		// Who goes and comes again has to pass again.
		t.serveText(static("10.0.0.2:80") + tcpChecks)
		p.set(first, "refuse")
		t.serve(2, tcpChecks)
		t.wantState("--")

		// Without checks all are well, and stay so when checks come.
		t.serve(2, "")
		t.wantState("++")
		p.questions()
		time.Sleep(time.Hour)
		if n := len(p.questions()); n != 0 {
			t.Errorf("%d checks", n)
		}
		t.serve(2, tcpChecks)
		t.wantState("++")
		time.Sleep(150 * time.Second)
		t.wantState("--")
	})
}

func TestServeEndsChecks(t *testing.T) {
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		p.set(first, "hang")
		t.serve(1, tcpChecks)
		synctest.Wait()
		t.m.Serve(nil)
		synctest.Wait()
		if p.now != 0 {
			t.Error("the check under way went on")
		}
		p.questions()
		time.Sleep(time.Hour)
		if n := len(p.questions()); n != 0 {
			t.Errorf("%d checks", n)
		}
	})
}

func TestCheckUnejects(t *testing.T) {
	const outliers = "\noutlier_detection: {max_ejection_percent: 100, base_ejection_time: 600s, max_ejection_time: 600s, interval: 1s"
	for _, tt := range []struct{ config, after string }{
		{outliers + "}", ""},
		{outliers + ", successful_active_health_check_uneject_host: false}", "0"},
	} {
		checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
			t.serve(2, tcpChecks+tt.config)
			synctest.Wait()
			t.status(0, "500*5")
			t.want("0")
			time.Sleep(9 * time.Second)
			t.want("0")
			p.set("10.0.0.2:80", "refuse") // another's failure has no part in it
			time.Sleep(2 * time.Second)
			t.want(tt.after)
			t.wantState("++")
		})
	}
	// A check that passes does not uneject while the endpoint is still failing.
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		t.serve(2, tcpChecks+outliers+"}")
		synctest.Wait()
		p.set(first, "refuse")
		time.Sleep(31 * time.Second)
		t.wantState("-+")
		t.status(0, "500*5")
		p.set(first, "")
		time.Sleep(10 * time.Second)
		t.wantState("-+")
		t.want("0")
		time.Sleep(10 * time.Second)
		t.wantState("++")
		t.want("")
	})
}

func TestChecksOfDNS(t *testing.T) {
	checking(t, upstream.MonitorOptions{}, func(t *monitored, p *patients) {
		dns := &fakeDNS{start: time.Now(), answers: map[string]string{"ip4 a.com": "10.0.0.1"}}
		r := upstream.NewResolver(dns)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		p.set("10.9.9.9:81", "refuse")
		t.c = compile(t, t.slots, nil, strictDNS+tcpChecks+"\noutlier_detection: {max_ejection_percent: 100}")
		r.Set([]*upstream.Cluster{t.c})
		t.m.Serve([]*upstream.Cluster{t.c})
		time.Sleep(1100 * time.Millisecond)
		t.wantState("-+")
		t.status(1, "500*5")
		t.want("1")
		time.Sleep(time.Second)

		p.set("10.0.0.2:80", "refuse")
		dns.set("ip4 a.com", "10.0.0.2 10.0.0.1")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.1:80", "10.0.0.2:80"}, addrs(t.c)); diff != "" {
			t.Fatal(diff)
		}
		t.wantState("-+-")
		t.want("1")
		p.set("10.0.0.2:80", "")
		time.Sleep(3 * time.Minute)
		t.wantState("-++")
	})
}
