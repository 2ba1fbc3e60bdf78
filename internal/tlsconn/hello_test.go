package tlsconn_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// taken is a net.Conn that keeps what is written, and ends.
type taken struct {
	net.Conn
	bytes.Buffer
}

func (w *taken) Write(p []byte) (int, error)      { return w.Buffer.Write(p) }
func (w *taken) Read([]byte) (int, error)         { return 0, io.EOF }
func (w *taken) Close() error                     { return nil }
func (w *taken) SetWriteDeadline(time.Time) error { return nil }

// hello is the ClientHello of crypto/tls, in its record.
func hello(cfg *tls.Config) []byte {
	var w taken
	_ = tls.Client(&w, cfg).Handshake()
	return w.Bytes()
}

// split cuts the hello's record into records of n bytes.
func split(record []byte, n int) (p []byte) {
	for body := range slices.Chunk(record[5:], n) {
		p = append(p, record[:3]...)
		p = binary.BigEndian.AppendUint16(p, uint16(len(body)))
		p = append(p, body...)
	}
	return p
}

func configs() []*tls.Config {
	return []*tls.Config{
		{InsecureSkipVerify: true},
		{ServerName: "a.example"},
		{ServerName: "A.Example", NextProtos: []string{"h2", "http/1.1"}},
		{ServerName: "b.example", NextProtos: []string{"x"}, MaxVersion: tls.VersionTLS12},
		{ServerName: strings.Repeat("a", 60) + ".example", CurvePreferences: []tls.CurveID{tls.X25519}},
		{InsecureSkipVerify: true, NextProtos: []string{strings.Repeat("p", 255), "q"}},
	}
}

func TestHello(t *testing.T) {
	for _, cfg := range configs() {
		p := hello(cfg)
		for _, n := range []int{len(p), 1, 7, 300} {
			record := split(p, n)
			for end := range len(record) {
				if h, done, err := tlsconn.ParseHello(record[:end]); done || err != nil || h.TLS != (end >= 2) {
					t.Fatalf("%d of %d bytes: %+v, %v, %v", end, len(record), h, done, err)
				}
			}
			h, done, err := tlsconn.ParseHello(append(record, "more"...))
			if !done || err != nil || !h.TLS || h.ServerName != strings.ToLower(cfg.ServerName) || !slices.Equal(h.ALPN, cfg.NextProtos) {
				t.Errorf("%q %q in pieces of %d: %+v, %v, %v", cfg.ServerName, cfg.NextProtos, n, h, done, err)
			}
		}
	}
}

func TestHelloRefused(t *testing.T) {
	good := hello(&tls.Config{ServerName: "a.example"})
	change := func(at int, b byte) []byte {
		p := bytes.Clone(good)
		p[at] = b
		return p
	}
	for about, p := range map[string][]byte{
		"not a hello":      change(5, 2),
		"empty record":     {22, 3, 1, 0, 0},
		"record too large": {22, 3, 1, 0x40, 1},
		"too large":        {22, 3, 1, 0x10, 0, 1, 1, 0, 0},
		"length inside":    change(43, 255),
		"other record":     append(split(good, 10)[:15], 23, 3, 1, 0, 1, 0),
	} {
		if h, done, err := tlsconn.ParseHello(p); !done || err == nil || !h.TLS {
			t.Errorf("%s: %+v, %v, %v", about, h, done, err)
		}
	}
	for _, p := range []string{"G", "GET / HTTP/1.1\r\n", "PRI * HTTP/2.0", "\x16\x02", "\x00"} {
		if h, done, err := tlsconn.ParseHello([]byte(p)); !done || err != nil || h.TLS {
			t.Errorf("%q: %+v, %v, %v", p, h, done, err)
		}
	}
}

// FuzzHello holds the reader against crypto/tls: what a server of crypto/tls
// understands, the reader understands alike.
func FuzzHello(f *testing.F) {
	for _, cfg := range configs() {
		p := hello(cfg)
		f.Add(p)
		f.Add(split(p, 50))
	}
	cert := certtest.NewCA().Issue("a.example").TLS()
	f.Fuzz(func(t *testing.T, p []byte) {
		h, done, err := tlsconn.ParseHello(p)
		if err != nil && (!done || !h.TLS || h.ServerName != "" || h.ALPN != nil) || !h.TLS && h.ServerName != "" {
			t.Fatalf("%+v, %v, %v", h, done, err)
		}
		var seen *tls.ClientHelloInfo
		server := tls.Server(&given{r: bytes.NewReader(p)}, &tls.Config{
			Certificates: []tls.Certificate{cert},
			GetConfigForClient: func(i *tls.ClientHelloInfo) (*tls.Config, error) {
				seen = i
				return nil, errors.New("seen")
			},
		})
		_ = server.Handshake()
		if seen == nil || !plain(p) {
			return
		}
		if !done || err != nil || !h.TLS || !strings.EqualFold(h.ServerName, seen.ServerName) || !slices.Equal(h.ALPN, seen.SupportedProtos) {
			t.Fatalf("got %+v, %v, %v; crypto/tls: %q %q", h, done, err, seen.ServerName, seen.SupportedProtos)
		}
	})
}

// plain reports whether p is handshake records only, of the usual version and
// size: crypto/tls also takes a hello with warnings between its records.
func plain(p []byte) bool {
	if len(p) > 32<<10 || len(p) < 2 || p[1] != 3 {
		return false
	}
	for len(p) >= 5 {
		if p[0] != 22 {
			return false
		}
		p = p[min(len(p), 5+int(binary.BigEndian.Uint16(p[3:]))):]
	}
	return true
}

// given is a net.Conn to read from.
type given struct {
	taken
	r io.Reader
}

func (g *given) Read(p []byte) (int, error) { return g.r.Read(p) }

func TestInspect(t *testing.T) {
	ca := certtest.NewCA()
	l := start(t)
	s := compileServer(t, downstream(ca.Issue("a.example")))
	type seen struct {
		h   tlsconn.Hello
		err error
		in  string
	}
	got := make(chan seen, 1)
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		defer c.Close()
		task.SetDeadline(l.In(200 * time.Millisecond))
		h, err := tlsconn.Inspect(task, c)
		got <- seen{h, err, string(c.In())}
		task.SetDeadline(l.In(20 * time.Second))
		if err == nil && h.TLS {
			if _, err := s.Handshake(task, c); err == nil {
				_ = echo(task, c)
			}
		}
	})
	for _, n := range []int{1, 100, 1 << 20} {
		raw, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		nc := tls.Client(chopper{raw, n}, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", NextProtos: []string{"h2"}})
		if err := roundTrip(nc); err != nil {
			t.Error(err)
		}
		_ = nc.Close()
		if g := <-got; !g.h.TLS || g.h.ServerName != "a.example" || !slices.Equal(g.h.ALPN, []string{"h2"}) || g.err != nil || len(g.in) < 100 {
			t.Errorf("pieces of %d: %+v", n, g)
		}
	}
	for _, c := range []struct {
		send string
		end  bool
		tls  bool
		err  error
	}{
		{"GET /", false, false, nil},
		{"", true, false, io.EOF},
		{"\x16\x03", true, true, io.ErrUnexpectedEOF},
		{"\x16\x03", false, true, os.ErrDeadlineExceeded},
	} {
		nc, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = nc.Write([]byte(c.send))
		if c.end {
			_ = nc.(*net.TCPConn).CloseWrite()
		}
		if g := <-got; g.h.TLS != c.tls || !errors.Is(g.err, c.err) || g.in != c.send {
			t.Errorf("%q: %+v", c.send, g)
		}
		_ = nc.Close()
	}
}
