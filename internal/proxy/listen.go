package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"sync/atomic"
	"syscall"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// boundListener is a listening socket. It outlives generations.
type boundListener struct {
	name atomic.Pointer[string] // of the listener that it serves now
	addr string                 // as configured
	ln   *loop.Listener
}

func (b *boundListener) close(log *slog.Logger) {
	if err := b.ln.Close(); err != nil {
		log.Warn("closing a listener", "listener", *b.name.Load(), "error", err)
	}
}

// warnUnmarked tells, with the first redirected connection, if the proxy's own
// cannot be told apart from others.
func (p *Proxy) warnUnmarked() {
	if err := loop.CanMark(Mark); err != nil {
		p.opt.Logger.Warn("connections are redirected to the proxy, and its own cannot carry the mark that would except them",
			"mark", Mark, "error", err, "hint", "give the process CAP_NET_ADMIN, or redirect no port that an endpoint listens on")
	}
}

// BindError says that a listener's address could not be bound.
type BindError struct {
	Listener, Address string
	Err               error
}

func (e *BindError) Error() string {
	why := e.Err.Error()
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		why = "another process (maybe another sundog) listens there already"
	case errors.Is(e.Err, fs.ErrPermission):
		why = "ports below 1024 need rights that this process does not have"
	case errors.Is(e.Err, syscall.EADDRNOTAVAIL):
		why = "this machine does not have that address"
	}
	return fmt.Sprintf("listener %s: cannot listen on %s: %s", e.Listener, e.Address, why)
}

func (e *BindError) Unwrap() error { return e.Err }

// bind opens the sockets that g wants and that are not open yet, by whatever
// name. On an error it has closed again what it opened.
func (p *Proxy) bind(g *generation) (map[string]*boundListener, error) {
	fresh := map[string]*boundListener{}
	var errs []error
	for name, l := range g.listeners {
		if !l.bind || p.reuse(g, name, l) != nil {
			continue
		}
		ln, err := p.socket(l)
		if err != nil {
			errs = append(errs, &BindError{Listener: name, Address: l.addr, Err: err})
			continue
		}
		b := &boundListener{addr: l.addr, ln: ln}
		b.name.Store(&name)
		fresh[name] = b
	}
	if err := errors.Join(errs...); err != nil {
		for _, b := range fresh {
			b.close(p.opt.Logger)
		}
		return nil, err
	}
	return fresh, nil
}

// socket listens on the listener's address, with the socket of the process that
// this one replaces where that has one.
func (p *Proxy) socket(l *listenerConfig) (*loop.Listener, error) {
	if f := p.opt.Inherited[l.addr]; f != nil {
		delete(p.opt.Inherited, l.addr)
		ln, err := loop.ListenOn(f)
		return ln, errors.Join(err, f.Close())
	}
	return loop.Listen(context.Background(), l.addr)
}

// reuse is the open socket that serves for the listener: its own if it has not
// moved, or the one of a listener that has left that address. Nil: none.
func (p *Proxy) reuse(g *generation, name string, l *listenerConfig) *boundListener {
	if b := p.bound[name]; b != nil && b.addr == l.addr {
		return b
	}
	if l.port == 0 { // any port: no two are the same
		return nil
	}
	for other, b := range p.bound {
		if o := g.listeners[other]; b.addr == l.addr && (o == nil || !o.bind || o.addr != b.addr) {
			return b
		}
	}
	return nil
}

// listen takes connections on the fresh sockets and closes those that g does
// not have any more.
func (p *Proxy) listen(g *generation, fresh map[string]*boundListener) {
	next := map[string]*boundListener{}
	unused := maps.Clone(p.bound)
	for name, l := range g.listeners {
		if b := p.reuse(g, name, l); l.bind && b != nil {
			maps.DeleteFunc(unused, func(_ string, o *boundListener) bool { return o == b })
			b.name.Store(&name)
			next[name] = b
		}
	}
	for _, b := range unused {
		b.close(p.opt.Logger)
	}
	p.bound = next
	for name, b := range fresh {
		next[name] = b
		p.accepting.Go(func() {
			byLoop := map[*loop.Loop]*worker{}
			for _, w := range p.workers {
				byLoop[w.loop] = w
			}
			err := b.ln.Serve(p.nextLoop, func(l *loop.Loop, c *loop.Conn) { byLoop[l].accept(*b.name.Load(), c) })
			if err != nil {
				select {
				case p.fatal <- err:
				default:
				}
			}
		})
	}
}
