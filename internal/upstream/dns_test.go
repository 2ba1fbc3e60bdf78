package upstream_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeDNS answers "network host" and notes every question with its time.
type fakeDNS struct {
	start time.Time

	mu      sync.Mutex
	answers map[string]string // addresses separated by spaces; "hang" waits; none is an error
	asked   []string
}

func (f *fakeDNS) set(key, answer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[key] = answer
}

// questions returns and forgets what was asked, as "1.5s ip4 a.com".
func (f *fakeDNS) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.asked
	f.asked = nil
	return q
}

func (f *fakeDNS) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	key := network + " " + host
	f.mu.Lock()
	f.asked = append(f.asked, time.Since(f.start).String()+" "+key)
	answer := f.answers[key]
	f.mu.Unlock()
	if answer == "hang" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if answer == "" {
		return nil, errors.New("no such host")
	}
	var all []netip.Addr
	for a := range strings.FieldsSeq(answer) {
		all = append(all, netip.MustParseAddr(a))
	}
	return all, nil
}

// resolving runs f with a Resolver that works, in a bubble with a clock of
// its own.
func resolving(t *testing.T, answers map[string]string, f func(t *testing.T, r *upstream.Resolver, dns *fakeDNS)) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{start: time.Now(), answers: answers}
		r := upstream.NewResolver(dns)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		f(t, r, dns)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

const strictDNS = `
name: c
type: STRICT_DNS
dns_lookup_family: V4_ONLY
load_assignment:
  endpoints:
  - lb_endpoints:
    - {endpoint: {address: {socket_address: {address: a.com, port_value: 80}}}, load_balancing_weight: 2}
    - {endpoint: {address: {socket_address: {address: 10.9.9.9, port_value: 81}}}}
`

func TestStrictDNS(t *testing.T) {
	resolving(t, map[string]string{"ip4 a.com": "10.0.0.2 10.0.0.1"}, func(t *testing.T, r *upstream.Resolver, dns *fakeDNS) {
		c := compile(t, upstream.NewSlots(nil), nil, strictDNS)
		if diff := cmp.Diff([]string{"10.9.9.9:81"}, addrs(c)); diff != "" || c.Warm() {
			t.Errorf("before the first answer: %s, warm %v", diff, c.Warm())
		}
		r.Set([]*upstream.Cluster{c})
		synctest.Wait()
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.1:80", "10.0.0.2:80"}, addrs(c)); diff != "" || !c.Warm() {
			t.Errorf("first answer: %s, warm %v", diff, c.Warm())
		}
		first := c.Endpoints()
		if e := first.All[1]; e.Hostname != "a.com" || e.Weight != 2 {
			t.Errorf("%+v", e)
		}

		// The same addresses in another order are no change.
		dns.set("ip4 a.com", "10.0.0.1 10.0.0.2")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if c.Endpoints() != first {
			t.Error("the set was swapped for an equal one")
		}

		dns.set("ip4 a.com", "10.0.0.2 10.0.0.3")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.2:80", "10.0.0.3:80"}, addrs(c)); diff != "" {
			t.Error(diff)
		}
		if first.All[2] != c.Endpoints().All[1] {
			t.Error("an unchanged address is another endpoint now")
		}
		if diff := cmp.Diff([]string{"0s ip4 a.com", "5s ip4 a.com", "10s ip4 a.com"}, dns.questions()); diff != "" {
			t.Error(diff)
		}
		if got, want := c.DNSStats(), (upstream.DNSStats{Attempts: 3, Successes: 3}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A failure keeps what is known, and is tried again later and later.
func TestDNSFailure(t *testing.T) {
	resolving(t, map[string]string{"ip4 a.com": "10.0.0.1"}, func(t *testing.T, r *upstream.Resolver, dns *fakeDNS) {
		c := compile(t, upstream.NewSlots(nil), nil, strictDNS+"dns_refresh_rate: 60s\ndns_failure_refresh_rate: {base_interval: 2s, max_interval: 5s}\n")
		r.Set([]*upstream.Cluster{c})
		synctest.Wait()
		known := c.Endpoints()
		dns.set("ip4 a.com", "")
		time.Sleep(75 * time.Second) // fails at 60, 62, 66, 71
		synctest.Wait()
		if c.Endpoints() != known {
			t.Error("a failure changed the endpoints")
		}
		dns.set("ip4 a.com", "10.0.0.2")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.2:80"}, addrs(c)); diff != "" {
			t.Error(diff)
		}
		want := []string{"0s ip4 a.com", "1m0s ip4 a.com", "1m2s ip4 a.com", "1m6s ip4 a.com", "1m11s ip4 a.com", "1m16s ip4 a.com"}
		if diff := cmp.Diff(want, dns.questions()); diff != "" {
			t.Error(diff)
		}
		if got, want := c.DNSStats(), (upstream.DNSStats{Attempts: 6, Successes: 2, Failures: 4}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A name that hangs neither holds up another nor keeps Run from ending.
func TestDNSHangs(t *testing.T) {
	resolving(t, map[string]string{"ip4 a.com": "hang", "ip4 b.com": "10.0.0.2"}, func(t *testing.T, r *upstream.Resolver, dns *fakeDNS) {
		slots := upstream.NewSlots(nil)
		a := compile(t, slots, nil, strictDNS)
		b := compile(t, slots, nil, strings.NewReplacer("name: c", "name: d", "a.com", "b.com").Replace(strictDNS))
		r.Set([]*upstream.Cluster{a, b})
		synctest.Wait()
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.2:80"}, addrs(b)); diff != "" {
			t.Error(diff)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if s := a.DNSStats(); s.Failures != 1 {
			t.Errorf("%+v after the look-up's time", s)
		}
	})
}

func TestDNSFamilies(t *testing.T) {
	for _, test := range []struct {
		family, v4, v6 string
		asked, got     []string
	}{
		{"AUTO", "10.0.0.1", "::1", []string{"ip6"}, []string{"[::1]:80"}},
		{"AUTO", "10.0.0.1", "", []string{"ip6", "ip4"}, []string{"10.0.0.1:80"}},
		{"V4_ONLY", "", "::1", []string{"ip4"}, nil},
		{"V6_ONLY", "10.0.0.1", "", []string{"ip6"}, nil},
		{"V4_PREFERRED", "10.0.0.1", "::1", []string{"ip4"}, []string{"10.0.0.1:80"}},
		{"V4_PREFERRED", "", "::1", []string{"ip4", "ip6"}, []string{"[::1]:80"}},
		{"ALL", "", "", []string{"ip"}, []string{"10.0.0.1:80", "[::1]:80"}},
	} {
		answers := map[string]string{"ip4 a.com": test.v4, "ip6 a.com": test.v6, "ip a.com": "::1 ::ffff:10.0.0.1"}
		resolving(t, answers, func(t *testing.T, r *upstream.Resolver, dns *fakeDNS) {
			text := strings.Replace(strictDNS, "V4_ONLY", test.family, 1)
			text = text[:strings.Index(text, "    - {endpoint: {address: {socket_address: {address: 10.9")]
			c := compile(t, upstream.NewSlots(nil), nil, text)
			r.Set([]*upstream.Cluster{c})
			synctest.Wait()
			var want []string
			for _, n := range test.asked {
				want = append(want, "0s "+n+" a.com")
			}
			if diff := cmp.Diff(want, dns.questions()); diff != "" {
				t.Errorf("%s: %s", test.family, diff)
			}
			if diff := cmp.Diff(test.got, addrs(c)); diff != "" {
				t.Errorf("%s: %s", test.family, diff)
			}
		})
	}
}

// A LOGICAL_DNS cluster has one address, and keeps it while it is valid.
func TestLogicalDNS(t *testing.T) {
	resolving(t, map[string]string{"ip4 a.com": "10.0.0.2 10.0.0.1"}, func(t *testing.T, r *upstream.Resolver, dns *fakeDNS) {
		c := compile(t, upstream.NewSlots(nil), nil, "name: c\ntype: LOGICAL_DNS\ndns_lookup_family: V4_ONLY\nload_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: a.com, port_value: 80}}}}]}]}")
		r.Set([]*upstream.Cluster{c})
		for _, step := range []struct{ answer, want string }{
			{"10.0.0.2 10.0.0.1", "10.0.0.2:80"},
			{"10.0.0.1 10.0.0.2", "10.0.0.2:80"},
			{"10.0.0.3 10.0.0.1", "10.0.0.3:80"},
		} {
			dns.set("ip4 a.com", step.answer)
			time.Sleep(5 * time.Second)
			synctest.Wait()
			if diff := cmp.Diff([]string{step.want}, addrs(c)); diff != "" {
				t.Errorf("%s: %s", step.answer, diff)
			}
		}
	})
}

// Addresses, counters and the turn stay over a reload that leaves the names
// as they are; the old generation is swapped no more; other names start anew.
func TestDNSReload(t *testing.T) {
	resolving(t, map[string]string{"ip4 a.com": "10.0.0.1", "ip4 b.com": "10.0.0.7"}, func(t *testing.T, r *upstream.Resolver, dns *fakeDNS) {
		retired := map[int]bool{}
		slots := upstream.NewSlots(func(slot int) { retired[slot] = true })
		one := compile(t, slots, nil, strictDNS)
		r.Set([]*upstream.Cluster{one})
		time.Sleep(time.Second)
		two := compile(t, slots, one, strictDNS+"connect_timeout: 1s\n")
		r.Set([]*upstream.Cluster{two})
		synctest.Wait()
		if one.Endpoints().All[1] != two.Endpoints().All[1] || two.DNSStats().Attempts != 1 {
			t.Errorf("the reload forgot: %v, %+v", addrs(two), two.DNSStats())
		}
		dns.set("ip4 a.com", "10.0.0.2")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.1:80"}, addrs(one)); diff != "" {
			t.Errorf("old generation: %s", diff)
		}
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.2:80"}, addrs(two)); diff != "" {
			t.Errorf("new generation: %s", diff)
		}
		gone := one.Endpoints().All[1].Slot
		if retired[gone] {
			t.Error("a slot retired while the old generation has it")
		}
		one.Release()
		if !retired[gone] || len(retired) != 1 {
			t.Errorf("retired %v, want only %d", retired, gone)
		}

		three := compile(t, slots, two, strings.Replace(strictDNS, "a.com", "b.com", 1))
		r.Set([]*upstream.Cluster{three})
		synctest.Wait()
		if diff := cmp.Diff([]string{"10.9.9.9:81", "10.0.0.7:80"}, addrs(three)); diff != "" {
			t.Errorf("other names: %s", diff)
		}
		r.Set(nil)
		dns.questions()
		time.Sleep(time.Minute)
		if q := dns.questions(); len(q) > 0 {
			t.Errorf("asked %v for nobody", q)
		}
	})
}
