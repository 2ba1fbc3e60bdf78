package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// verdict is how a check came out.
type verdict uint8

const (
	passed    verdict = iota
	noAnswer          // no connection, no or half an answer, too late; unhealthy_threshold counts
	retriable         // an answer in retriable_statuses; unhealthy_threshold counts
	badAnswer         // any other answer: unhealthy at once, as in Envoy
)

// prober asks one endpoint how it does. Only one goroutine uses it at a time.
type prober interface {
	// probe asks once; it ends when ctx does. The error is what is wrong, nil
	// if the endpoint passed.
	probe(ctx context.Context) (verdict, error)
	// close gives up what is kept from one time to the next.
	close()
}

type dialFunc func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)

// tcpCheck is a tcp_health_check.
type tcpCheck struct {
	send    []byte
	receive [][]byte
}

func (t *tcpCheck) prober(s *checkSpec, at checkAddress, dial dialFunc) prober {
	return &tcpProber{tcpCheck: t, keep: s.reuse && len(t.receive) > 0, at: at, dial: dial}
}

type tcpProber struct {
	*tcpCheck
	keep bool
	at   checkAddress
	dial dialFunc
	conn net.Conn
}

// tcpAnswerLimit bounds what is read to find the expected answer.
const tcpAnswerLimit = 64 << 10

func (p *tcpProber) probe(ctx context.Context) (verdict, error) {
	if p.conn == nil {
		conn, err := p.dial(ctx, p.at.addr)
		if err != nil {
			return noAnswer, err
		}
		p.conn = conn
	}
	conn := p.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err := p.talk()
	if !stop() || err != nil || !p.keep {
		p.close()
	}
	if err != nil {
		return noAnswer, errors.Join(ctx.Err(), err)
	}
	return passed, nil
}

func (p *tcpProber) talk() error {
	if len(p.send) > 0 {
		if _, err := p.conn.Write(p.send); err != nil {
			return err
		}
	}
	var got []byte
	for !contains(got, p.receive) {
		piece := make([]byte, 4096)
		n, err := p.conn.Read(piece)
		got = append(got, piece[:n]...)
		if n == 0 && err != nil {
			return fmt.Errorf("before all that receive wants had come: %w", err)
		}
		if len(got) > tcpAnswerLimit {
			return fmt.Errorf("%d bytes have not all that receive wants", len(got))
		}
	}
	return nil
}

func (p *tcpProber) close() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}

// contains reports whether the blocks stand in b in their order, with anything
// between them.
func contains(b []byte, blocks [][]byte) bool {
	for _, block := range blocks {
		i := bytes.Index(b, block)
		if i < 0 {
			return false
		}
		b = b[i+len(block):]
	}
	return true
}
