package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sundog-mesh/sundog/internal/report"
)

// comparing is a shop of three instances: v1, a second v1 as the baseline, and
// a candidate with two regressions.
type comparing struct {
	shops   []*shop
	cluster *cluster
}

func (c *comparing) close() {
	if c.cluster != nil {
		_ = c.cluster.stop()
	}
	for _, s := range c.shops {
		s.stop()
	}
}

func startComparing(ctx context.Context) (c *comparing, err error) {
	c = &comparing{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	of := setup{files: files("comparing/shop.yaml", "comparing/shadowpolicy.yaml"), outbound: "127.0.0.1:0"}
	for _, version := range []string{"v1", "v1-baseline", "v1-mirroring"} {
		s, err := startShop(ctx, "shop-"+version, version == "v1-mirroring")
		if err != nil {
			return nil, err
		}
		c.shops = append(c.shops, s)
		of.endpoints = append(of.endpoints, fmt.Sprintf("shop/%s=%s", version, s.addr))
	}
	c.cluster, err = of.start(ctx)
	return c, err
}

// What the candidate does wrong, as a report names it.
const (
	wrongTotal = "GET /orders/{id} body.total"
	slowSearch = "GET /search latency"
)

const (
	compareBatch = 300
	// mostCompared bounds the exchanges that the two findings may take.
	mostCompared = 15_000
)

// compare sends traffic until the report has found both regressions, and half
// as much again, which must find nothing else.
func (c *comparing) compare(ctx context.Context, s *show) error {
	s.title("Is the new version the same? A shop with two regressions, amid timestamps, random ids and lists in any order")
	client := &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: c.cluster.address("virtualOutbound")}), MaxIdleConnsPerHost: compareClients},
		Timeout:   10 * time.Second,
	}
	defer client.CloseIdleConnections()
	s.line("%d clients: http_proxy=http://%s curl http://shop:8000/orders/1234, /users/17, /search?q=shoes", compareClients, c.cluster.address("virtualOutbound"))
	sent, until := 0, mostCompared
	for sent < until {
		if err := batch(ctx, client); err != nil {
			return err
		}
		sent += compareBatch
		if until == mostCompared && found(c.report(), wrongTotal) && found(c.report(), slowSearch) {
			s.line("after %d requests both are found", sent)
			until = sent * 3 / 2
		}
	}
	r := c.report()
	var text strings.Builder
	if err := report.Text(&text, r, report.TextOptions{Width: 120}); err != nil {
		return err
	}
	s.line("")
	s.line("The report begins so (sundog report, or /report of the admin interface, has all of it):")
	for line := range strings.Lines(text.String()) {
		if strings.Contains(line, "request id") || strings.TrimSpace(line) == "Endpoints" {
			break
		}
		s.line("  %s", strings.TrimRight(line, "\n"))
	}
	for _, comparison := range r.Comparisons {
		s.line("and knows what varies by itself: %s", strings.Join(noise(comparison), ", "))
	}
	s.check(len(r.Comparisons) == 1, "there are %d comparisons", len(r.Comparisons))
	for _, comparison := range r.Comparisons {
		s.check(comparison.Verdict.State == report.Different, "the verdict is %s", comparison.Verdict.State)
		got := proven(comparison)
		slices.Sort(got)
		s.check(slices.Equal(got, []string{wrongTotal, slowSearch}), "the report has found %q", got)
	}
	return nil
}

func (c *comparing) report() report.Report { return c.cluster.judge.Report() }

const compareClients = 8

// batch sends a batch of requests, a third to each endpoint.
func batch(ctx context.Context, client *http.Client) error {
	g, ctx := errgroup.WithContext(ctx)
	for range compareClients {
		g.Go(func() error {
			for range compareBatch / compareClients / 3 {
				for _, path := range []string{
					fmt.Sprintf("/users/%d", rand.IntN(1000)), fmt.Sprintf("/orders/%d", rand.IntN(10_000)), "/search?q=shoes",
				} {
					if status, _, err := get(ctx, client, "http://shop:8000"+path); err != nil || status != http.StatusOK {
						return fmt.Errorf("%s through the mesh: status %d, %w", path, status, err)
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// proven are the differences that are beyond doubt.
func proven(c report.Comparison) []string {
	var all []string
	for _, d := range c.Differences {
		if d.State == report.Proven {
			all = append(all, d.Method+" "+d.Path+" "+d.Field)
		}
	}
	return all
}

func found(r report.Report, what string) bool {
	return slices.ContainsFunc(r.Comparisons, func(c report.Comparison) bool { return slices.Contains(proven(c), what) })
}

// noise names the fields that vary by themselves.
func noise(c report.Comparison) []string {
	var all []string
	for _, n := range c.Noise {
		if what := n.Field + " (" + n.Type + ")"; !slices.Contains(all, what) {
			all = append(all, what)
		}
	}
	return all
}
