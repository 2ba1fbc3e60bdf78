//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Each broken shadow is broken in the way that its name says.
func TestShadows(t *testing.T) {
	const request = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"
	begin := map[string]string{ // of what a client reads within a moment; the others answer nothing
		wellShadow: answer, "answers one byte a second": "H", "sends 1 GiB": bigHead,
	}
	breaks := map[string]bool{"answers garbage": true, "resets in the middle": true}
	for _, r := range shadows() {
		t.Run(r.name, func(t *testing.T) {
			s, err := r.start()
			if err != nil {
				t.Fatal(err)
			}
			defer s.stop()
			c, err := net.DialTimeout("tcp", s.addr, 500*time.Millisecond)
			switch r.name {
			case "refuses":
				if !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("connecting: %v, want it refused", err)
				}
				return
			case "blackhole":
				if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("connecting: %v, want a timeout", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			want := begin[r.name]
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
			if want != "" {
				return
			}
			rest, err := io.ReadAll(c)
			timeout := net.Error(nil)
			waits := errors.As(err, &timeout) && timeout.Timeout()
			if waits == breaks[r.name] || waits && len(rest) > 0 {
				t.Errorf("%d bytes, then %v", len(rest), err)
			}
		})
	}
}

// The upstream of gRPC passes what every proxy has to pass.
func TestGRPCServer(t *testing.T) {
	s, err := grpcServer()
	if err != nil {
		t.Fatal(err)
	}
	defer s.stop()
	w := wire{h2: true, grpc: true}
	for range 3 {
		if err := probe(context.Background(), s.addr, w); err != nil {
			t.Fatal(err)
		}
	}
	if err := probe(context.Background(), s.addr, wire{}); err == nil {
		t.Error("HTTP/1.1 is answered, too")
	}
}

// A probe finds out a proxy that has no trailers, or answers with an error.
func TestProbe(t *testing.T) {
	well, err := answering(0)()
	if err != nil {
		t.Fatal(err)
	}
	defer well.stop()
	if err := probe(context.Background(), well.addr, wire{}); err != nil {
		t.Errorf("HTTP/1.1: %v", err)
	}
	if err := probe(context.Background(), well.addr, wire{h2: true}); err == nil {
		t.Error("a server that has no HTTP/2 passes for one")
	}
	sick, err := listen(func(c net.Conn, _ <-chan struct{}) {
		if readMessage(c, make([]byte, 4<<10)) == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
		}
	})()
	if err != nil {
		t.Fatal(err)
	}
	defer sick.stop()
	if err := probe(context.Background(), sick.addr, wire{}); err == nil {
		t.Error("503 passes for an answer")
	}
}

// Both certificates are what they are called, and clients can use them.
func TestHandshake(t *testing.T) {
	pairs, err := makeCerts(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for kind, pair := range pairs {
		cert, err := tls.LoadX509KeyPair(pair.both, pair.both)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		config := &tls.Config{Certificates: []tls.Certificate{cert}}
		s, err := listen(func(c net.Conn, _ <-chan struct{}) {
			secure := tls.Server(c, config)
			if readMessage(secure, make([]byte, 4<<10)) == nil {
				_, _ = io.WriteString(secure, answer)
			}
		})()
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if err := shakeOnce(s.addr); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		s.stop()
	}
}

// The client of the harm part knows what became of each request.
func TestUpload(t *testing.T) {
	b := bench{dir: t.TempDir()}
	body, err := b.file("body", 1000)
	if err != nil {
		t.Fatal(err)
	}
	l := load{conns: 4, body: body, rate: 200, length: 200 * time.Millisecond, patience: 100 * time.Millisecond}
	const due = 40
	for _, test := range []struct {
		shadow                       string
		answered, failed, unanswered int
	}{
		{wellShadow, due, 0, 0},
		{hungShadow, 0, 0, due},
		{"answers garbage", 0, due, 0},
	} {
		i := slices.IndexFunc(shadows(), func(r role) bool { return r.name == test.shadow })
		s, err := shadows()[i].start()
		if err != nil {
			t.Fatal(err)
		}
		l.addr = s.addr
		got, err := b.upload(t.Context(), l)
		s.stop()
		if err != nil || got.answered != test.answered || got.failed != test.failed || got.unanswered != test.unanswered {
			t.Errorf("a destination that %s: %+v, %v, want %+v", test.shadow, got, err, test)
		}
		if least := l.length - 10*time.Millisecond; test.unanswered > 0 && got.p99 < least {
			t.Errorf("p99 is %v where nobody answers, want %v at least", got.p99, least)
		}
	}
}
