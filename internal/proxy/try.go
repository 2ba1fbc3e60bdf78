package proxy

import (
	"time"

	"github.com/sundog-mesh/sundog/internal/route"
	"github.com/sundog-mesh/sundog/internal/traffic"
	"github.com/sundog-mesh/sundog/internal/upstream"
)

// state is how a try stands.
type state uint8

const (
	going     state = iota
	waiting         // nothing more to do until an event
	answered        // the client has, or will get, the whole answer
	gone            // the client has gone, or its request is broken
	again           // the answer's status asks for another try
	failed          // no answer; x.failed says how
	truncated       // the answer broke off after its head was passed on
	replied         // the proxy has answered by itself
	upgraded        // the connections are a tunnel now
)

// try sends the request to the endpoint. It reports whether another try is to
// be made, and whether that is on a fresh connection because this one, used
// before, turned out to be dead.
func (x *exchange) try(f *route.Forward, e *upstream.Endpoint) (another, fresh bool) {
	x.tries++
	x.endpoint, x.ctx.Upstream = e, e.Addr
	if f.AutoHost && e.Hostname != "" {
		f.SetHost(&x.req, []byte(e.Hostname))
	}
	up, err := x.acquire(f, e)
	switch err {
	case nil:
		x.up = up
		x.send()
	case upstream.ErrOverflow, errWaited, errClientGone:
		x.notSent(err)
		return false, false
	}
	if x.tries == 1 && !x.resent {
		x.book()
	}
	if err != nil {
		return x.giveUp(f, route.FailedConnect, err), false
	}
	st, how, err := x.relay(f)
	switch st {
	case answered:
		x.release()
		return false, false
	case upgraded:
		x.tunnel(f)
		return false, false
	case gone, truncated:
		x.hangUp(st)
		return false, false
	case replied:
		return false, false
	case again:
		x.dropUp()
		return true, false
	}
	fate := upstream.FateUnknown
	if how == route.FailedReset && !isProtocol(err) {
		fate = x.up.Fate()
	}
	x.dropUp()
	if fate == upstream.FateRefused {
		how = route.FailedRefusedStream
	}
	if !x.resent && !x.lost && (fate == upstream.FateRefused || fate == upstream.FateStale && idempotent(x.req.Method())) {
		return true, true
	}
	return x.giveUp(f, how, err), false
}

// use is what the try's stream is for.
func (x *exchange) use() upstream.Use {
	return upstream.Use{
		Fresh: x.resent, HTTP2: x.req.HTTP2, Raw: x.upgrade != nil || x.connect, Upgrade: x.upgrade != nil,
		Authority: x.req.Authority(), Hostname: x.endpoint.Hostname,
	}
}

func (x *exchange) dropUp() {
	x.up.Drop(!x.outDone)
	x.up = nil
	x.resp.Reset()
	x.t.SetDeadline(0)
}

// hangUp ends an exchange that the client does not see the end of.
func (x *exchange) hangUp(st state) {
	x.client.Last()
	if st == gone && !x.respDone {
		x.flags |= traffic.FlagDownstreamClosed
		if x.details == "" {
			x.details = "downstream_remote_disconnect"
		}
	}
	x.breakCopies()
	if x.respBegun && !x.respDone {
		x.client.Break()
	}
	x.up.Drop(true)
	x.up = nil
}

// release gives the connection back after a complete answer.
func (x *exchange) release() {
	x.v.counters[x.clusterID].count(x.resp.Status)
	if x.resp.Status < 500 {
		x.up.Host().RqSuccess++
	} else {
		x.up.Host().RqError++
	}
	if x.tries > 1 {
		x.v.counters[x.clusterID].rqRetrySuccess++
	}
	if !x.outDone { // an early answer: the upload is broken off
		x.client.Last()
		x.breakCopies()
		x.up.Drop(true)
	} else {
		x.up.Release()
	}
	x.up = nil
}

func (c *clusterCounters) count(status int) {
	c.rqTotal++
	if class := status / 100; class > 0 && class < len(c.rqClass) {
		c.rqClass[class]++
	}
}

// relay moves the request up and the answer down until one of them is at its
// end.
func (x *exchange) relay(f *route.Forward) (st state, how route.Failure, err error) {
	for turns := 1; ; turns++ {
		if !x.connected {
			ok, err := x.up.Connected()
			if err != nil {
				x.up.Host().CxConnectFail++
				return failed, route.FailedConnect, err
			}
			x.connected = ok
			if ok {
				x.cluster.Outliers.LocalSuccess(x.w.id, x.endpoint)
			}
		}
		moved := false
		if x.connected {
			m, st := x.pumpUp()
			if st != going {
				return st, 0, nil
			}
			moved = m
			m, st, how, err = x.down(f)
			if st != going {
				return st, how, err
			}
			moved = moved || m
		}
		if x.client.Gone(x.reqDone) {
			return gone, 0, nil
		}
		if moved {
			x.lastTraffic = x.w.loop.Now()
			if turns%fairTurns == 0 && x.t.Yield() != nil {
				return gone, 0, nil
			}
			continue
		}
		if st, how := x.deadline(f); st != going {
			return st, how, nil
		}
		if x.t.Park() != nil {
			return gone, 0, nil
		}
	}
}

// down moves the answer. One that is complete before the request is does not
// end the try: the rest of the upload goes on to an endpoint that takes it, and
// to the copies, so that all connections stay of use.
func (x *exchange) down(f *route.Forward) (moved bool, st state, how route.Failure, err error) {
	if !x.respDone {
		moved, st, how, err = x.pumpDown(f)
		if st == answered && !x.outDone && x.up.Quiet() {
			return true, going, 0, nil
		}
		return moved, st, how, err
	}
	if x.outDone && x.up.Drained() || !x.up.Quiet() {
		return false, answered, 0, nil
	}
	return false, going, 0, nil
}

// restOfUpload is how long an upload may stand still that the endpoint has
// answered already.
const restOfUpload = 30 * time.Second

// fairTurns is after how many turns with something to move others get theirs.
const fairTurns = 2
