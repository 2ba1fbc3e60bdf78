package test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sundog-mesh/sundog/internal/report"
)

// comparingPolicy is attached to the VirtualService of examples/comparing. No
// brake: it would keep requests unmirrored while it measures.
const comparingPolicy = `
apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: shop}
spec:
  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: shop}]
  brake: {enabled: false}
  request: {authorityMode: Keep}
  compare:
    baseline: {destination: {host: shop, subset: v1-baseline}}
    limits: {differencePercent: 0.1, confidencePercent: 95}
`

// visit is a kind of request. Each # in it becomes a number.
type visit struct {
	method, target string
	header         http.Header
	body           string
}

// visits reads kinds of requests: lines with method, target, "Name: value|" for
// headers and the body.
func visits(t *testing.T, lines string) (all []visit) {
	t.Helper()
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		head, body, _ := strings.Cut(strings.TrimSpace(line), " <- ")
		head, fields, _ := strings.Cut(head, " | ")
		method, target, ok := strings.Cut(head, " ")
		if !ok {
			t.Fatalf("%q is no request", line)
		}
		v := visit{method, target, http.Header{}, body}
		for field := range strings.SplitSeq(fields, " | ") {
			if name, value, ok := strings.Cut(field, ": "); ok {
				v.header.Set(name, value)
			}
		}
		all = append(all, v)
	}
	return all
}

func (v visit) request(t *testing.T, number string) *http.Request {
	with := func(text string) string { return strings.ReplaceAll(text, "#", number) }
	u, err := url.Parse("http://shop:8000" + with(v.target))
	must(t, err)
	r := &http.Request{Method: v.method, URL: u, Host: u.Host, Header: http.Header{}, ContentLength: int64(len(with(v.body)))}
	if v.body != "" {
		r.Body = io.NopCloser(strings.NewReader(with(v.body)))
	}
	for name, values := range v.header {
		r.Header.Set(name, with(values[0]))
	}
	return r
}

// services3 are addresses of three processes of a service.
type services3 struct{ primary, baseline, candidate string }

// compared is a sundog that compares.
type compared struct {
	*process
	services services3
	report   report.Comparison // the last one
	proven   map[finding]seen
	sent     uint64
}

// finding is an aspect of a field of an endpoint that differs.
type finding struct{ endpoint, field, aspect string }

// seen is what the first report had that has proven a finding.
type seen struct{ exchanges, differing uint64 }

// startComparing starts a sundog with the YAML of examples/comparing before services.
func startComparing(t *testing.T, s services3) *compared {
	t.Helper()
	policy := t.TempDir() + "/policy.yaml"
	write(t, policy, comparingPolicy)
	return &compared{
		services: s, proven: map[finding]seen{},
		process: sundog(t, "run", "-f", "../examples/comparing/shop.yaml", "-f", policy, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0",
			"--endpoint", "shop/v1="+s.primary, "--endpoint", "shop/v1-baseline="+s.baseline, "--endpoint", "shop/v1-mirroring="+s.candidate),
	}
}

// tooFew rounds prove nothing yet.
const tooFew = 5

// watch sends every kind of request in each round, in random order. It looks at
// the report all the time: what is proven in any of them stays found. Up to the
// round careful, and but for the first, which are too few, it waits each time for
// a report of all that was sent, which a sundog makes once a second; later it
// takes what there is.
func (p *compared) watch(all []visit, careful, rounds int) {
	p.t.Helper()
	visitor := client(p.t, p.listener("virtualOutbound"))
	visitor.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	visitor.Transport.(*http.Transport).DisableCompression = true
	choice := rand.New(rand.NewPCG(1, 2))
	for i := range rounds {
		round := slices.Clone(all)
		choice.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		requests := make(chan *http.Request, len(round))
		for _, v := range round {
			requests <- v.request(p.t, fmt.Sprint(choice.IntN(50)))
		}
		close(requests)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for r := range requests {
					if _, _, err := exchange(visitor, r); err != nil {
						p.t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		p.sent += uint64(len(round))
		p.look(i >= tooFew && i < careful || i+1 == rounds)
		if p.t.Failed() {
			return
		}
	}
	p.accounted()
}

// look keeps what the report has proven; if it is to be complete, that of all
// that was sent.
func (p *compared) look(complete bool) {
	p.t.Helper()
	eventually(p.t, "all is accounted for", func() bool {
		var r report.Report
		p.getJSON("/report", &r)
		if len(r.Comparisons) != 1 {
			return false
		}
		p.report = r.Comparisons[0]
		for _, d := range p.report.Differences {
			f := finding{d.Method + " " + d.Path, d.Field, d.Aspect}
			if _, known := p.proven[f]; d.State == report.Proven && !known {
				p.proven[f] = seen{d.Exchanges, d.Candidate}
			}
		}
		return !complete || p.report.Account.Offered == p.sent && p.report.Account.Waiting == 0
	})
}

// accounted wants nearly all to be compared: on a busy machine some come too late.
func (p *compared) accounted() {
	p.t.Helper()
	a := p.report.Account
	if a.Compared < p.sent*99/100 || a.WithBaseline < p.sent*99/100 {
		p.t.Errorf("of %d exchanges these were compared: %+v", p.sent, a)
	}
	p.t.Logf("%d exchanges: %d alike in all, %d not; %+v", a.Compared, a.Equal, a.Different, p.report.Verdict)
	for _, f := range sorted(p.proven) {
		p.t.Logf("proven after %d exchanges of the endpoint, of which %d differed: %v", p.proven[f].exchanges, p.proven[f].differing, f)
	}
}

// verdict wants an exit code of sundog verdict.
func (p *compared) verdict(code int, args ...string) {
	p.t.Helper()
	v := p.ask(append([]string{"verdict"}, args...)...)
	if got := v.wait(); got != code {
		p.t.Errorf("the exit code of sundog verdict is %d, want %d: %s%s", got, code, &v.out, &v.err)
	}
	p.t.Logf("%v: %s", args, &v.out)
}

// ask runs a sundog that asks this one.
func (p *compared) ask(args ...string) *process {
	p.t.Helper()
	return sundog(p.t, append(args, "--admin", p.find(&p.err, `msg="admin interface" address=(\S+)`))...)
}

func sorted(m map[finding]seen) (all []finding) {
	for f := range m {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b finding) int {
		return slices.Compare([]string{a.endpoint, a.field, a.aspect}, []string{b.endpoint, b.field, b.aspect})
	})
	return all
}
