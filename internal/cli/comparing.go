package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/endpoint"
	"github.com/sundog-mesh/sundog/internal/judge"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/reflection"
	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// comparing connects the judge to the proxy: exchanges pass from one to the
// other, questions go back, and the judge's counts live in a file.
type comparing struct {
	judge  *judge.Judge
	proxy  *proxy.Proxy // set once it is made, before either runs
	state  string       // file; empty: none
	logger *slog.Logger

	reporting sync.Mutex // guards reported
	reported  report.Report

	mu        sync.Mutex // guards what follows
	routes    []proxy.Compared
	asked     map[string]compare.TypeResolver // by primary's cluster: what its reflection says; nil: nothing yet
	templates map[string][]string             // by OpenAPI document: what it held when it was last good
	types     map[string]compare.TypeResolver // the same by file of descriptors
	unasked   chan struct{}                   // there are clusters to be asked
}

// compareFlags are the flags of comparing.
type compareFlags struct{ state string }

func (f *compareFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.state, "compare-state", "", "`FILE` in which what comparing has found survives a restart")
}

func newComparing(f compareFlags, logger *slog.Logger) (*comparing, error) {
	c := &comparing{state: f.state, logger: logger, asked: map[string]compare.TypeResolver{}, unasked: make(chan struct{}, 1)}
	c.judge = judge.New(judge.Options{Asker: c, Allow: func(route string, n int) bool { return c.proxy.MayAsk(route, n) }})
	return c, c.load()
}

// reportFor is for how long a report is shown before a new one is made: one of
// a thousand endpoints takes a second of a core.
const reportFor = time.Second

// Report is what the judge reports, a moment old at most.
func (c *comparing) Report() report.Report {
	c.reporting.Lock()
	defer c.reporting.Unlock()
	if time.Since(c.reported.Generated) > reportFor {
		c.reported = c.judge.Report()
	}
	return c.reported
}

// load reads the state of an earlier process, if there is one.
func (c *comparing) load() error {
	if c.state == "" {
		return nil
	}
	f, err := os.Open(c.state)
	if errors.Is(err, os.ErrNotExist) {
		if err := c.save(); err != nil { // better now than when there is much to lose
			return withHint(fmt.Errorf("--compare-state: %s cannot be written: %w", c.state, err), "name a file in a directory that is there and that sundog may write to")
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("--compare-state: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	if err := c.judge.Load(f); err != nil {
		return withHint(fmt.Errorf("--compare-state: %s cannot be read: %w", c.state, err), "remove the file to begin anew, or name another one")
	}
	return nil
}

// save writes the state so that a reader never sees half of it.
func (c *comparing) save() error {
	f, err := os.CreateTemp(filepath.Dir(c.state), filepath.Base(c.state)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone once it was renamed
	if err := errors.Join(c.judge.Save(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), c.state)
}

// saveEvery is how much a crash may cost.
const saveEvery = 30 * time.Second

// run compares until ctx ends, and keeps the state.
func (c *comparing) run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- c.judge.Run(ctx) }()
	reflecting := make(chan struct{})
	go func() { defer close(reflecting); c.reflect(ctx) }()
	defer func() { <-reflecting }()
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return errors.Join(err, c.keep())
		case <-tick.C:
			if err := c.keep(); err != nil {
				c.logger.Error("the state of comparing is not kept", "error", err)
			}
		}
	}
}

func (c *comparing) keep() error {
	if c.state == "" {
		return nil
	}
	if err := c.save(); err != nil {
		return fmt.Errorf("--compare-state: %w", err)
	}
	return nil
}

// follow has the judge compare what the proxy's next snapshot says.
func (c *comparing) follow(next []proxy.Compared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.routes = next
	c.configure()
}

// configure has the judge compare the routes. Of a file that cannot be read the
// last good content stays, and without one it is done without: it only makes
// reports better. The caller holds mu.
func (c *comparing) configure() {
	var routes []judge.Route
	templates, types := map[string][]string{}, map[string]compare.TypeResolver{}
	for _, r := range c.routes {
		one := judge.Route{Key: r.RouteKey, Primary: r.Primary, Candidates: r.Candidates, Policy: r.Policy, RedactKey: r.RedactKey}
		said := r.Policy.Compare
		var err error
		if one.Templates, err = readOr(c.templates, templates, said.OpenAPI, endpoint.FromOpenAPI); err != nil {
			c.unread(&r.Policy, "spec.compare.openAPIFile", said.OpenAPI, one.Templates != nil, "endpoints are learnt from the paths of requests", err)
		}
		if one.Types, err = readOr(c.types, types, said.Descriptors, compare.ParseDescriptors); err != nil {
			c.unread(&r.Policy, "spec.compare.protobuf.descriptorFile", said.Descriptors, one.Types != nil, "messages are compared by field numbers", err)
		}
		if said.Reflection && one.Types == nil {
			types, known := c.asked[r.Primary]
			if one.Types = types; !known {
				c.asked[r.Primary] = nil
			}
		}
		routes = append(routes, one)
	}
	c.templates, c.types = templates, types
	select {
	case c.unasked <- struct{}{}:
	default:
	}
	if err := c.judge.Configure(routes); err != nil {
		c.logger.Error("answers go on being compared as before", "error", err)
	}
}

// reflectEvery is how often a primary is asked that has not answered.
const reflectEvery = 10 * time.Second

// reflect asks primaries for their protobuf descriptors until each has
// answered, and has the judge use them.
func (c *comparing) reflect(ctx context.Context) {
	again := time.NewTicker(reflectEvery)
	defer again.Stop()
	told := map[string]string{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-c.unasked:
		}
		fresh := false
		for _, cluster := range c.silent() {
			types, err := c.typesOf(ctx, cluster)
			if err != nil && told[cluster] != err.Error() {
				told[cluster] = err.Error()
				c.logger.Warn("no protobuf descriptors yet; messages are compared by field numbers", "cluster", cluster, "error", err)
			}
			if err == nil {
				c.mu.Lock()
				c.asked[cluster] = types
				c.mu.Unlock()
				fresh = true
			}
		}
		if fresh {
			c.mu.Lock()
			c.configure()
			c.mu.Unlock()
		}
	}
}

// silent are the clusters whose descriptors are wanted and not known.
func (c *comparing) silent() (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for cluster, types := range c.asked {
		if types == nil {
			all = append(all, cluster)
		}
	}
	return all
}

// typesOf asks the first endpoint of a cluster.
func (c *comparing) typesOf(ctx context.Context, cluster string) (compare.TypeResolver, error) {
	for _, known := range c.proxy.Status().Clusters {
		if known.Name != cluster || len(known.Endpoints) == 0 {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, reflectEvery)
		defer cancel()
		files, err := reflection.Fetch(ctx, known.Endpoints[0].Address.String())
		if err != nil {
			return nil, err
		}
		return compare.NewTypes(files)
	}
	return nil, errors.New("the cluster has no endpoint")
}

// unread tells of a file that is gone or bad, and what is done instead.
func (c *comparing) unread(p *policy.Policy, field, path string, kept bool, instead string, err error) {
	if kept {
		instead = "what it held before stays in use"
	}
	c.logger.Error("a file of a ShadowPolicy cannot be used; "+instead, "object", "ShadowPolicy "+p.Name, "field", field, "path", path, "error", err)
}

// readOr parses a file, or takes what it held when it was last good. next gets
// what is in use.
func readOr[T any](last, next map[string]T, name string, parse func([]byte) (T, error)) (T, error) {
	out, err := read(name, parse)
	old, kept := last[name]
	if err != nil && kept {
		out = old
	}
	if name != "" && (err == nil || kept) {
		next[name] = out
	}
	return out, err
}

// read parses a file; without a name there is nothing to read.
func read[T any](name string, parse func([]byte) (T, error)) (out T, err error) {
	if name == "" {
		return out, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return out, err
	}
	if out, err = parse(data); err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

// maxAskedBody is how much is kept of the answer to a question.
const maxAskedBody = 1 << 20

// Ask puts a question of the judge to the proxy.
func (c *comparing) Ask(ctx context.Context, q judge.Question) (compare.Message, time.Duration, error) {
	a, err := c.proxy.Ask(ctx, proxy.Question{RouteKey: q.Route, Cluster: q.Cluster, Request: q.Request, Keep: maxAskedBody})
	if err != nil {
		return compare.Message{}, 0, err
	}
	if a.Outcome != traffic.Completed {
		return compare.Message{}, 0, fmt.Errorf("%s: %s", q.Cluster, a.Outcome)
	}
	return compare.Message{
		Status: a.Response.Status, Headers: fields(&a.Response), Trailers: fields(&a.Trailers),
		Body: slices.Clone(a.Body.Bytes), Cut: a.Body.Cut, Size: a.ResponseBytes,
	}, a.Duration, nil
}

func fields(h *traffic.Head) []compare.Field {
	var all []compare.Field
	for i := range h.Len() {
		name, value := h.Field(i)
		all = append(all, compare.Field{Name: string(name), Value: string(value)})
	}
	return all
}
