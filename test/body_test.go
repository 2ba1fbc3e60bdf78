package test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// body makes n bytes that do not repeat, and their SHA-256.
func body(n int) (data []byte, sum string) {
	data = make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	h := sha256.Sum256(data)
	return data, hex.EncodeToString(h[:])
}

// mirror starts a sundog without YAML.
func mirror(t *testing.T, primary, shadow string, more ...string) *process {
	t.Helper()
	return sundog(t, append([]string{
		"mirror", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--primary", "http://" + primary, "--shadow", "http://" + shadow,
	}, more...)...)
}

func (p *process) url(path string) string { return "http://" + p.listener("127.0.0.1_0") + path }

// post sends a body, and wants 200 with the body want.
func post(t *testing.T, target string, from io.Reader, chunked bool, length int, want string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, io.NopCloser(from))
	must(t, err)
	r.ContentLength = int64(length)
	if chunked {
		r.ContentLength = -1
	} else if length == 0 {
		r.Body = http.NoBody
	}
	status, answer, err := exchange(client(t, ""), r)
	if err != nil || status != http.StatusOK || answer != want {
		t.Errorf("the client got %d %q, %v", status, answer, err)
	}
}

func TestBodiesArriveWhole(t *testing.T) {
	primary, shadow := serve(t, "primary"), serve(t, "shadow")
	// The buffer holds the largest body, so no shadow can be too slow for it.
	p := mirror(t, primary.address, shadow.address, "--shadow-buffer", "32MiB")
	for _, size := range []int{0, 1, 64 << 10, 16 << 20} {
		for _, framing := range []string{"content-length", "chunked"} {
			t.Run(fmt.Sprintf("%d/%s", size, framing), func(t *testing.T) {
				before := len(primary.got())
				data, sum := body(size)
				post(t, p.url("/upload"), bytes.NewReader(data), framing == "chunked", size, "primary")
				want := fmt.Sprint(size)
				if framing == "chunked" {
					want = framing
				}
				for _, s := range []*service{primary, shadow} {
					eventually(t, s.name+" has the request", func() bool { return len(s.got()) == before+1 })
					got := s.got()[before]
					if got.err != nil || got.sum != sum || got.size != int64(size) || got.transfer != want || got.method != http.MethodPost || got.path != "/upload" {
						t.Errorf("%s got %s %s, %d bytes (%s) %s, %v", s.name, got.method, got.path, got.size, got.transfer, got.sum, got.err)
					}
				}
			})
		}
	}
	if o := p.settled().only(t); o["completed"] != 8 || o.sum() != 8 {
		t.Errorf("outcomes %v", o)
	}
	p.stop()
}

// stepper gives a body piece by piece, each when the last has come far enough.
type stepper struct {
	data []byte
	sent int
	wait func(sent int)
}

func (s *stepper) Read(p []byte) (int, error) {
	if s.sent == len(s.data) {
		return 0, io.EOF
	}
	s.wait(s.sent)
	n := copy(p, s.data[s.sent:min(s.sent+64<<10, len(s.data))])
	s.sent += n
	return n, nil
}

// A body sixteen times as large as the buffer reaches a shadow that keeps up.
func TestLargeBodiesStreamToTheShadow(t *testing.T) {
	primary, shadow := serve(t, "primary"), serve(t, "shadow")
	p := mirror(t, primary.address, shadow.address)
	data, sum := body(16 << 20)
	from := &stepper{data: data, wait: func(sent int) {
		eventually(t, "the shadow keeps up", func() bool { return int64(sent)-shadow.received.Load() < 256<<10 })
	}}
	post(t, p.url("/"), from, false, len(data), "primary")
	if o := p.settled().only(t); o["completed"] != 1 || o.sum() != 1 {
		t.Errorf("outcomes %v", o)
	}
	for _, s := range []*service{primary, shadow} {
		if got := s.got(); len(got) != 1 || got[0].sum != sum {
			t.Errorf("%s got %+v", s.name, got)
		}
	}
	p.stop()
}

// quiet listens, and its connections have small buffers.
func quiet(t *testing.T) net.Listener {
	t.Helper()
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = setReceiveBuffer(fd, 64<<10) }); e != nil {
			return e
		}
		return err
	}}
	ln, err := small.Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	return ln
}

// A shadow that does not read gets a reset, and never what looks like a
// complete, shorter request.
func TestOverrunResetsTheShadow(t *testing.T) {
	for _, framing := range []string{"content-length", "chunked"} {
		t.Run(framing, func(t *testing.T) {
			primary, ln := serve(t, "primary"), quiet(t)
			p := mirror(t, primary.address, ln.Addr().String())
			data, sum := body(16 << 20)
			post(t, p.url("/"), bytes.NewReader(data), framing == "chunked", len(data), "primary")
			if got := primary.got(); len(got) != 1 || got[0].sum != sum || got[0].err != nil {
				t.Errorf("the primary got %+v", got)
			}
			if o := p.settled().only(t); o["overrun"] != 1 || o.sum() != 1 {
				t.Errorf("outcomes %v", o)
			}
			conn, err := ln.Accept()
			must(t, err)
			defer func() { _ = conn.Close() }()
			got, err := io.ReadAll(conn)
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the shadow read %d bytes and %v, want a reset", len(got), err)
			}
			if len(got) >= len(data) || strings.HasSuffix(string(got), "0\r\n\r\n") {
				t.Errorf("the shadow got %d bytes, which may look complete", len(got))
			}
			p.stop()
		})
	}
}
