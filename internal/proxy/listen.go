package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// boundListener is a listening socket. It outlives generations.
type boundListener struct {
	name string
	addr string // as configured
	ln   *loop.Listener
}

func (b *boundListener) close(log *slog.Logger) {
	if err := b.ln.Close(); err != nil {
		log.Warn("closing a listener", "listener", b.name, "error", err)
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

// bind opens the sockets that g wants and that are not open yet. On an error
// it has closed again what it opened.
func (p *Proxy) bind(g *generation) (map[string]*boundListener, error) {
	fresh := map[string]*boundListener{}
	var errs []error
	for name, l := range g.listeners {
		if !l.bind {
			continue
		}
		if b := p.bound[name]; b != nil && b.addr == l.addr {
			continue
		}
		ln, err := loop.Listen(context.Background(), l.addr)
		if err != nil {
			errs = append(errs, &BindError{Listener: name, Address: l.addr, Err: err})
			continue
		}
		fresh[name] = &boundListener{name: name, addr: l.addr, ln: ln}
	}
	if err := errors.Join(errs...); err != nil {
		for _, b := range fresh {
			b.close(p.opt.Logger)
		}
		return nil, err
	}
	return fresh, nil
}

// listen takes connections on the fresh sockets and closes those that g does
// not have any more.
func (p *Proxy) listen(g *generation, fresh map[string]*boundListener) {
	for name, b := range p.bound {
		if l := g.listeners[name]; l == nil || !l.bind || fresh[name] != nil {
			b.close(p.opt.Logger)
			delete(p.bound, name)
		}
	}
	for name, b := range fresh {
		p.bound[name] = b
		p.accepting.Go(func() {
			byLoop := map[*loop.Loop]*worker{}
			for _, w := range p.workers {
				byLoop[w.loop] = w
			}
			err := b.ln.Serve(p.nextLoop, func(l *loop.Loop, c *loop.Conn) { byLoop[l].accept(name, c) })
			if err != nil {
				select {
				case p.fatal <- err:
				default:
				}
			}
		})
	}
}
