package test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// brokenShadow is a shadow that goes wrong. Its start returns where it listens
// and what is to be done when half of the requests have been sent.
type brokenShadow struct {
	name  string
	start func(t *testing.T) (address string, halfway func())
}

func brokenShadows() []brokenShadow {
	return []brokenShadow{
		{"killed", func(t *testing.T) (string, func()) {
			p, address := serviceProcess(t)
			return address, p.kill
		}},
		{"refusing", func(t *testing.T) (string, func()) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			_ = ln.Close()
			return ln.Addr().String(), nil
		}},
		{"never reading", func(t *testing.T) (string, func()) {
			return acceptAndIgnore(t), nil
		}},
	}
}

// acceptAndIgnore accepts all connections and reads nothing.
func acceptAndIgnore(t *testing.T) (address string) {
	ln := quiet(t)
	var mu sync.Mutex
	var conns []net.Conn
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	return ln.Addr().String()
}

// Whatever becomes of the shadow, the primary's clients do not notice, the
// memory is bounded and each copy is accounted for.
func TestABrokenShadowHarmsNobody(t *testing.T) {
	loads := []struct {
		name       string
		size, many int
	}{{"2000 of 1 KiB", 1 << 10, 2000}, {"20 of 16 MiB", 16 << 20, 20}}
	for _, shadow := range brokenShadows() {
		for _, load := range loads {
			t.Run(shadow.name+"/"+load.name, func(t *testing.T) {
				primary := serve(t, "primary")
				address, halfway := shadow.start(t)
				p := mirror(t, primary.address, address, "--shadow-timeout", "2s")
				target, err := url.Parse(p.url("/"))
				must(t, err)
				data, sum := body(load.size)
				largest := watchMemory(t, p)
				var sent atomic.Int64
				send(t, client(t, ""), load.many, "primary", func() *http.Request {
					if sent.Add(1) == int64(load.many/2) && halfway != nil {
						halfway()
					}
					return &http.Request{
						Method: http.MethodPost, URL: target, Host: target.Host, Header: http.Header{},
						Body: io.NopCloser(bytes.NewReader(data)), ContentLength: int64(load.size),
					}
				})
				p.ledger() // balances while copies are in flight, too
				l := p.settled()
				o := l.only(t)
				if rss := largest(); rss > 200<<20 {
					t.Errorf("sundog's memory grew to %d MiB", rss>>20)
				} else {
					t.Logf("at most %d MiB; %v", rss>>20, o)
				}
				if l.Forwarded != load.many || o["not_sampled"] != 0 || halfway == nil && o["completed"] != 0 {
					t.Errorf("%d forwarded, outcomes %v", l.Forwarded, o)
				}
				got := primary.got()
				if len(got) != load.many {
					t.Errorf("the primary got %d requests, want %d", len(got), load.many)
				}
				for _, r := range got {
					if r.sum != sum || r.err != nil {
						t.Fatalf("the primary got %+v", r)
					}
				}
				p.stop()
			})
		}
	}
}

// watchMemory looks at the process's memory until the returned function is
// called, which tells the most that was seen.
func watchMemory(t *testing.T, p *process) func() int {
	stop, done := make(chan struct{}), make(chan struct{})
	most := 0
	go func() {
		defer close(done)
		again := time.NewTicker(10 * time.Millisecond)
		defer again.Stop()
		for {
			n, err := resident(p.cmd.Process)
			if err != nil {
				t.Errorf("memory of sundog: %v", err)
				return
			}
			most = max(most, n)
			select {
			case <-stop:
				return
			case <-again.C:
			}
		}
	}()
	return func() int {
		close(stop)
		<-done
		return most
	}
}
