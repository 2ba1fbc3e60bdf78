package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Question asks one of a route's destinations for something once more, for
// nobody but whoever compares answers.
type Question struct {
	RouteKey string
	// Cluster is a mirror of the route, which gets the request as its copies are,
	// or else the cluster of a primary, which gets it as it is.
	Cluster string
	// Request is a GET or HEAD as the primary got it.
	Request *traffic.Head
	// Keep is how many bytes of the answer's body are kept.
	Keep int64
}

// Ask asks, and waits for the answer or the end of ctx. It fails when there is
// no such route or cluster any more; how the destination fared is the answer's
// Outcome. What is asked counts in no ledger, but takes from the budget of the
// mirror, and is sent with the marks of a shadow.
func (p *Proxy) Ask(ctx context.Context, q Question) (*traffic.Answer, error) {
	if !safe(q.Request.Method()) {
		return nil, fmt.Errorf("%s is not safe to be asked again", q.Request.Method())
	}
	w := p.workers[p.next.Add(1)%uint64(len(p.workers))]
	a := &asked{question: q, done: make(chan error, 1)}
	if !w.loop.Post(func() { w.ask(a) }) {
		return nil, errors.New("the proxy has ended")
	}
	select {
	case err := <-a.done:
		return &a.answer, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// asked is a question under way.
type asked struct {
	question Question
	answer   traffic.Answer // of the loop, until done
	row      mirror.Row     // in no ledger
	ctx      route.Context
	done     chan error
}

// ask sends the question. It runs on the loop.
func (w *worker) ask(a *asked) {
	q, v := &a.question, w.current()
	at := slices.IndexFunc(v.generation.routes, func(r *route.Route) bool { return r.Key == q.RouteKey })
	cluster, known := v.index[q.Cluster]
	if at < 0 || !known {
		a.done <- fmt.Errorf("route %s or cluster %s is not in the configuration", q.RouteKey, q.Cluster)
		return
	}
	r, policies := v.generation.routes[at], v.policies[at]
	i := slices.IndexFunc(policies, func(p *mirror.Policy) bool { return p.Mirror.Name == q.Cluster })
	var p *mirror.Policy
	switch said := r.Forward.Policy; {
	case i >= 0:
		p = policies[i]
	case said != nil && said.Compare.Baseline.MayAsk() && len(policies) > 0:
		p = &mirror.Policy{Mirror: primaryAgain(), Role: traffic.Again, Limits: policies[0].Limits, Budget: policies[0].Budget}
	default:
		a.done <- fmt.Errorf("route %s may not ask cluster %s again", q.RouteKey, q.Cluster)
		return
	}
	a.ctx = route.Context{Request: q.Request, Route: r, Start: time.Now()}
	a.answer.Body.Open(w.bodies, q.Keep)
	if c := w.side.Start(p, &a.row, mirror.Request{
		Head: q.Request, Context: &a.ctx, Cluster: v.clusters[cluster], Balancer: &v.shadowing[cluster],
		Answer: &a.answer, Observer: a,
	}); c != nil {
		c.End(nil)
	}
}

// ShadowSettled hands the answer over, with its body in memory of its own.
func (a *asked) ShadowSettled() {
	kept := traffic.Body{Bytes: slices.Clone(a.answer.Body.Bytes), Cut: a.answer.Body.Cut}
	a.answer.Body.Close()
	a.answer.Body = kept
	a.done <- nil
}
