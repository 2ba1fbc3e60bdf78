//go:build linux && !portable

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// fixed2 answers every request over HTTP/2 with the same two frames, and counts
// them.
func fixed2(t *testing.T, answered *atomic.Int64) string {
	return framed(t, nil, func(f *frames) {
		_ = f.SetDeadline(time.Time{})
		f.ReadMetaHeaders = nil
		answer := func(id uint32) {
			answered.Add(1)
			f.head(id, false, ":status", "200", "content-type", "text/plain", "content-length", "2")
			_ = f.WriteData(id, true, []byte("ok"))
		}
		for {
			switch fr := f.read().(type) {
			case nil:
				return
			case *http2.HeadersFrame:
				if fr.StreamEnded() {
					answer(fr.StreamID)
				}
			case *http2.DataFrame:
				if n := uint32(len(fr.Data())); n > 0 {
					_ = f.WriteWindowUpdate(0, n)
				}
				if fr.StreamEnded() {
					answer(fr.StreamID)
				}
			}
		}
	})
}

// many are clients of HTTP/2 that ask for several things at a time, and go on
// once as many were answered: copies that pile up would need memory.
func many(t *testing.T, addr string, post bool, answered func() int64) func(n int) {
	const conns = 4
	streams := 32 // at first, so that pools and buffers get their size
	pool := make([]*frames, conns)
	next := uint32(1)
	for i := range pool {
		pool[i] = dialFrames(t, addr)
		pool[i].ReadMetaHeaders = nil
		_ = pool[i].SetDeadline(time.Time{})
	}
	return func(n int) {
		defer func() { streams = 8 }()
		for range n / conns / streams {
			for _, f := range pool {
				for i := range uint32(streams) {
					id := next + 2*i
					if !post {
						f.ask(id, "GET", "/a?b=c", true, "user-agent", "curl/8", "accept", "*/*")
						continue
					}
					f.ask(id, "POST", "/a", false, "content-type", "application/grpc", "te", "trailers")
					_ = f.WriteData(id, true, []byte("01234567890123456789"))
				}
			}
			for _, f := range pool {
				for left := streams; left > 0; {
					fr := f.read()
					if fr == nil {
						t.Fatal("the connection has ended")
					}
					if d, ok := fr.(*http2.DataFrame); ok {
						_ = f.WriteWindowUpdate(0, 2)
						if d.StreamEnded() {
							left--
						}
					}
				}
			}
			next += uint32(2 * streams)
			for want := int64(next/2) * conns; answered() < want; {
				runtime.Gosched()
			}
		}
	}
}

// TestAllocationsHTTP2 counts what a request over HTTP/2 costs.
func TestAllocationsHTTP2(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	const answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
	for _, tt := range []struct {
		name           string
		up             protocol
		post, mirrored bool
	}{
		{"GET to HTTP/2", h2c, false, false},
		{"GET to HTTP/2, mirrored", h2c, false, true},
		{"POST to HTTP/2, mirrored", h2c, true, true},
		{"GET to HTTP/1.1", h1, false, false},
		{"GET to HTTP/1.1, mirrored", h1, false, true},
		{"POST to HTTP/1.1, mirrored", h1, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sums [2]atomic.Int64
			end, kind := func(i int) string { return fixed2(t, &sums[i]) }, "h2|"
			if tt.up == h1 {
				kind = "h1|"
				end = func(int) string {
					if tt.post {
						return fixed(t, "0\r\n\r\n", answer)
					}
					return fixed(t, "\r\n\r\n", answer)
				}
			}
			spec := kind + end(0) + " "
			if tt.mirrored {
				spec += end(1)
			}
			answered := func() int64 {
				if tt.up == h1 || !tt.mirrored {
					return math.MaxInt64
				}
				return sums[1].Load()
			}
			perRequest := countAllocations(t, spec, 6000, func(addr string) func(int) { return many(t, addr, tt.post, answered) })
			t.Logf("%.4f allocations per request", perRequest)
			if perRequest > 0.03 { // pools still grow a little where copies pile up
				t.Errorf("%.4f allocations per request", perRequest)
			}
		})
	}
}

// TestAllocationsTLS counts what a request over TLS costs: one for each read,
// in crypto/tls.
func TestAllocationsTLS(t *testing.T) {
	if raced {
		t.Skip("the race detector allocates")
	}
	const answer = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
	spec := "tls|" + fixed(t, "\r\n\r\n", answer) + " " + fixed(t, "\r\n\r\n", answer)
	perRequest := countAllocations(t, spec, 6000, func(addr string) func(int) {
		pool := make([]*tls.Conn, 8)
		for i := range pool {
			nc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = nc.Close() })
			pool[i] = nc
		}
		buf := make([]byte, 4096)
		return func(n int) {
			for range n / len(pool) {
				for _, nc := range pool {
					_, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				}
				for _, nc := range pool {
					got := 0
					for !bytes.HasSuffix(buf[:got], []byte("\r\n\r\nok")) {
						k, err := nc.Read(buf[got:])
						if got += k; err != nil {
							t.Fatalf("%v after %q", err, buf[:got])
						}
					}
				}
			}
		}
	})
	t.Logf("%.4f allocations per request", perRequest)
	if perRequest > 1.05 {
		t.Errorf("%.4f allocations per request", perRequest)
	}
}
