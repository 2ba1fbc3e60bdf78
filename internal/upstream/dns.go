//lint:file-ignore SA1019 control planes still send the deprecated fields

package upstream

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
)

// Lookup finds the addresses of a name. *net.Resolver is one. The network is
// "ip4", "ip6" or "ip" for both.
type Lookup interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// DNSStats counts the resolutions of a cluster, each of all its names, with
// the meaning of Envoy's update_attempt, update_success and update_failure.
type DNSStats struct{ Attempts, Successes, Failures uint64 }

// dnsName is an endpoint that is given by name.
type dnsName struct {
	host string
	port uint16
	as   target // what its addresses have in common
}

// dnsSpec says what to resolve and when, and is shared by a cluster's
// generations while they agree on it.
type dnsSpec struct {
	given    []target
	names    []dnsName
	one      bool     // LOGICAL_DNS: one address is enough
	networks []string // tried in turn until one has addresses; "ip" gives both families
	refresh  time.Duration
	// A failure is tried again after failMin, then twice as long up to failMax.
	failMin, failMax time.Duration

	mu    sync.Mutex
	addrs [][]netip.Addr // the last result for each name
}

// dnsStats has the counters.
type dnsStats struct{ attempts, successes, failures atomic.Uint64 }

func newDNSSpec(c *clusterv3.Cluster, given []target, names []dnsName) *dnsSpec {
	s := &dnsSpec{given: given, names: names, addrs: make([][]netip.Addr, len(names))}
	s.one = c.GetType() == clusterv3.Cluster_LOGICAL_DNS
	switch c.GetDnsLookupFamily() {
	case clusterv3.Cluster_V4_ONLY:
		s.networks = []string{"ip4"}
	case clusterv3.Cluster_V6_ONLY:
		s.networks = []string{"ip6"}
	case clusterv3.Cluster_V4_PREFERRED:
		s.networks = []string{"ip4", "ip6"}
	case clusterv3.Cluster_ALL:
		s.networks = []string{"ip"}
	default: // AUTO
		s.networks = []string{"ip6", "ip4"}
	}
	s.refresh = max(duration(c.GetDnsRefreshRate(), 5*time.Second), time.Millisecond)
	s.failMin = max(duration(c.GetDnsFailureRefreshRate().GetBaseInterval(), s.refresh), time.Millisecond)
	s.failMax = max(duration(c.GetDnsFailureRefreshRate().GetMaxInterval(), 10*s.failMin), s.failMin)
	return s
}

func (s *dnsSpec) equal(o *dnsSpec) bool {
	return s.one == o.one && slices.Equal(s.given, o.given) && slices.Equal(s.names, o.names) && slices.Equal(s.networks, o.networks) &&
		s.refresh == o.refresh && s.failMin == o.failMin && s.failMax == o.failMax
}

// DNSStats returns the counters of a cluster of a DNS type, else zeros. They
// survive reloads while the cluster's names stay.
func (c *Cluster) DNSStats() DNSStats {
	if c.stats == nil {
		return DNSStats{}
	}
	return DNSStats{c.stats.attempts.Load(), c.stats.successes.Load(), c.stats.failures.Load()}
}

// Warm reports whether the cluster's names, where it has any, have been looked
// up once, with success or not. Until then it may have no endpoint yet.
func (c *Cluster) Warm() bool {
	return c.dns == nil || len(c.dns.names) == 0 || c.stats.successes.Load()+c.stats.failures.Load() > 0
}

// targetsNow are the endpoints by the last results.
func (c *Cluster) targetsNow() []target {
	s := c.dns
	s.mu.Lock()
	defer s.mu.Unlock()
	ts := slices.Clone(s.given)
	for i, n := range s.names {
		for _, a := range s.addrs[i] {
			t := n.as
			t.addr = netip.AddrPortFrom(a, n.port)
			ts = append(ts, t)
		}
	}
	return ts
}

// Resolver keeps the endpoints of DNS clusters current. Make it with
// NewResolver, tell it the clusters with Set, and let Run work.
type Resolver struct {
	lookup  Lookup
	timeout time.Duration
	changed chan struct{}
	busy    chan struct{} // bounds the look-ups at one time

	mu   sync.Mutex
	want map[string]*Cluster
}

// NewResolver makes a Resolver. Nothing happens before Run.
func NewResolver(l Lookup) *Resolver {
	return &Resolver{
		lookup:  l,
		timeout: 10 * time.Second,
		changed: make(chan struct{}, 1),
		busy:    make(chan struct{}, 32),
	}
}

// Set says which clusters serve from now on; those of other types are passed
// over. The resolution of a new one starts at once; one whose names have not
// changed keeps its turn. When Set has returned, no cluster that is not in
// the list is swapped any more, so it may be released.
func (r *Resolver) Set(clusters []*Cluster) {
	want := map[string]*Cluster{}
	for _, c := range clusters {
		if c.dns != nil {
			want[c.Name] = c
		}
	}
	r.mu.Lock()
	r.want = want
	for _, c := range want {
		c.refresh() // what its predecessor learned since it was compiled
	}
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Run resolves until ctx ends, which is no error. Every goroutine of it has
// ended when it returns.
func (r *Resolver) Run(ctx context.Context) error {
	type job struct {
		spec   *dnsSpec
		cancel context.CancelFunc
	}
	jobs := map[string]job{}
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancelAll := context.WithCancel(ctx)
	defer cancelAll()
	for {
		r.mu.Lock()
		want := r.want
		r.mu.Unlock()
		for name, j := range jobs {
			if c := want[name]; c == nil || c.dns != j.spec {
				j.cancel()
				delete(jobs, name)
			}
		}
		for name, c := range want {
			if _, ok := jobs[name]; ok {
				continue
			}
			jobCtx, cancel := context.WithCancel(ctx)
			jobs[name] = job{c.dns, cancel}
			wg.Go(func() { r.keep(jobCtx, name, c.dns, c.stats) })
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
		}
	}
}

// keep resolves one cluster again and again.
func (r *Resolver) keep(ctx context.Context, name string, spec *dnsSpec, stats *dnsStats) {
	if len(spec.names) == 0 {
		return
	}
	backoff := spec.failMin
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := r.resolve(ctx, name, spec, stats)
		if ctx.Err() != nil {
			return
		}
		wait := spec.refresh
		if err != nil {
			wait, backoff = backoff, min(2*backoff, spec.failMax)
		} else {
			backoff = spec.failMin
		}
		timer.Reset(wait)
	}
}

// resolve looks up all names of a cluster once. A name that fails keeps its
// last addresses.
func (r *Resolver) resolve(ctx context.Context, name string, spec *dnsSpec, stats *dnsStats) error {
	stats.attempts.Add(1)
	errs := make([]error, len(spec.names))
	var wg sync.WaitGroup
	for i, n := range spec.names {
		wg.Go(func() {
			addrs, err := r.addrs(ctx, spec.networks, n.host)
			if errs[i] = err; err == nil {
				spec.learn(i, addrs)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := errors.Join(errs...)
	r.mu.Lock()
	if c := r.want[name]; c != nil && c.dns == spec {
		c.refresh()
	}
	r.mu.Unlock()
	if err != nil { // counted last: who sees it finds the endpoints, too
		stats.failures.Add(1)
	} else {
		stats.successes.Add(1)
	}
	return err
}

// learn stores the addresses of the i-th name. Resolvers turn their answers
// round, which must not look like a change: a LOGICAL_DNS cluster keeps its
// address while that is among them, others see them sorted.
func (s *dnsSpec) learn(i int, addrs []netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.one {
		if now := s.addrs[i]; len(now) > 0 && slices.Contains(addrs, now[0]) {
			return
		}
		addrs = addrs[:1]
	} else {
		slices.SortFunc(addrs, netip.Addr.Compare)
	}
	s.addrs[i] = addrs
}

var errNoAddress = errors.New("no address")

// addrs looks one name up, in the families in turn. The result is not empty.
func (r *Resolver) addrs(ctx context.Context, networks []string, host string) ([]netip.Addr, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r.busy <- struct{}{}:
	}
	defer func() { <-r.busy }()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := errNoAddress
	for _, network := range networks {
		found, lookupErr := r.lookup.LookupNetIP(ctx, network, host)
		if lookupErr != nil {
			err = lookupErr
			continue
		}
		var addrs []netip.Addr
		for _, a := range found {
			addrs = append(addrs, a.Unmap())
		}
		if len(addrs) > 0 {
			return addrs, nil
		}
	}
	return nil, err
}
