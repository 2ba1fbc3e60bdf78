package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

// protocol is what one side of the proxy speaks.
type protocol string

const (
	h1  protocol = "HTTP/1.1"
	h2c protocol = "HTTP/2"
)

func (p protocol) set() *http.Protocols {
	ps := &http.Protocols{}
	ps.SetHTTP1(p == h1)
	ps.SetUnencryptedHTTP2(p == h2c)
	return ps
}

// client speaks only p.
func (p protocol) client(t testing.TB) *http.Client {
	c := client(t)
	c.Transport.(*http.Transport).Protocols = p.set()
	c.Transport.(*http.Transport).ExpectContinueTimeout = 2 * patience
	return c
}

// backend is a server that speaks only p.
func (p protocol) backend(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = p.set()
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// options sets the HTTP options of a cluster.
func options(t testing.TB, c *clusterv3.Cluster, o *httpv3.HttpProtocolOptions) {
	t.Helper()
	if o.UpstreamProtocolOptions == nil {
		o.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}},
		}}
	}
	m, err := anypb.New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": m}
}

// over makes the clusters, in their order, speak these.
func (s *scene) over(t testing.TB, all ...protocol) *scene {
	t.Helper()
	for i, p := range all {
		if p == h2c {
			options(t, s.clusters[i], &httpv3.HttpProtocolOptions{})
		}
	}
	return s
}

// wantQuiet waits until nothing is under way any more, and looks whether
// anything has gone wrong.
func wantQuiet(t testing.TB, p *proxy.Proxy) {
	t.Helper()
	var last string
	defer func() {
		if t.Failed() {
			t.Log(last)
		}
	}()
	eventually(t, "no request, copy or budget in use", func() bool {
		st := p.Status()
		last = fmt.Sprintf("%+v %+v", st.Clusters, st.Ledger)
		for _, c := range st.Clusters {
			for _, e := range c.Endpoints {
				if e.RqActive != 0 {
					return false
				}
			}
		}
		for _, r := range st.Ledger.Routes {
			for _, m := range r.Mirrors {
				if m.Outcomes["in_flight"] != 0 {
					return false
				}
			}
		}
		requests, size := p.BudgetsInUse()
		return requests == 0 && size == 0
	})
	st := p.Status()
	for _, r := range st.Ledger.Routes {
		for i, m := range r.Mirrors {
			sum := uint64(0)
			for _, n := range m.Outcomes {
				sum += n
			}
			if sum != r.Forwarded {
				t.Errorf("mirror %d: the outcomes %v are not %d in all", i, m.Outcomes, r.Forwarded)
			}
		}
	}
	if n := stat(p, "server.panics"); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// wantNoConnections waits until no connection to an endpoint is left.
func wantNoConnections(t testing.TB, p *proxy.Proxy) {
	t.Helper()
	eventually(t, "no connection to an endpoint", func() bool {
		for _, c := range p.Status().Clusters {
			for _, e := range c.Endpoints {
				if e.CxActive != 0 {
					return false
				}
			}
		}
		return true
	})
}

// frames is one side of an HTTP/2 connection, frame by frame.
type frames struct {
	*wire
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
	mu    sync.Mutex // of writing
}

func newFrames(w *wire) *frames {
	f := &frames{wire: w, Framer: http2.NewFramer(w.TCPConn, w.r)}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.enc = hpack.NewEncoder(&f.block)
	return f
}

// dialFrames connects as a client of HTTP/2 with these settings.
func dialFrames(t testing.TB, addr string, settings ...http2.Setting) *frames {
	t.Helper()
	f := newFrames(dial(t, addr))
	f.send("%s", http2.ClientPreface)
	if err := f.WriteSettings(settings...); err != nil {
		t.Fatal(err)
	}
	return f
}

// framed is a server of HTTP/2 whose connections behave as handle does, once
// the preface has come and the settings have gone.
func framed(t testing.TB, settings []http2.Setting, handle func(*frames)) string {
	return peer(t, func(w *wire) {
		f := newFrames(w)
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(w.r, preface); err != nil {
			return
		}
		if string(preface) != http2.ClientPreface {
			t.Errorf("preface %q", preface)
		}
		_ = f.WriteSettings(settings...)
		handle(f)
	})
}

// head sends a header block: names and values by turns.
func (f *frames) head(id uint32, end bool, fields ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.block.Reset()
	for pair := range slices.Chunk(fields, 2) {
		_ = f.enc.WriteField(hpack.HeaderField{Name: pair[0], Value: pair[1]})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bytes.Clone(f.block.Bytes()), EndHeaders: true, EndStream: end})
}

// ask begins a request.
func (f *frames) ask(id uint32, method, path string, end bool, more ...string) {
	f.head(id, end, append([]string{":method", method, ":scheme", "http", ":authority", "x", ":path", path}, more...)...)
}

// read is the next frame that tells something: settings and pings are answered,
// window updates dropped. Nil at the end of the connection.
func (f *frames) read() http2.Frame {
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return nil
		}
		switch fr := fr.(type) {
		case *http2.SettingsFrame:
			if !fr.IsAck() {
				f.mu.Lock()
				_ = f.WriteSettingsAck()
				f.mu.Unlock()
			}
		case *http2.PingFrame:
			if !fr.IsAck() {
				f.mu.Lock()
				_ = f.WritePing(true, fr.Data)
				f.mu.Unlock()
			}
		case *http2.WindowUpdateFrame:
		default:
			return fr
		}
	}
}

// want reads a frame of this type.
func want[F http2.Frame](f *frames) F {
	f.t.Helper()
	fr := f.read()
	got, ok := fr.(F)
	if !ok {
		f.t.Fatalf("got the frame %v, want a %T", fr, got)
	}
	return got
}

// answered reads the whole answer on a stream, and its status. Frames of other
// streams are an error.
func (f *frames) answered(id uint32) (status, body string) {
	f.t.Helper()
	var all strings.Builder
	for {
		switch fr := f.read().(type) {
		case *http2.MetaHeadersFrame:
			if fr.StreamID != id {
				f.t.Fatalf("a head on stream %d", fr.StreamID)
			}
			if s := fr.PseudoValue("status"); s != "" {
				status = s
			}
			if fr.StreamEnded() {
				return status, all.String()
			}
		case *http2.DataFrame:
			all.Write(fr.Data())
			if fr.StreamEnded() {
				return status, all.String()
			}
		case nil:
			f.t.Fatalf("the connection has ended after %q %q", status, all.String())
		default:
			f.t.Fatalf("got the frame %v after %q %q", fr, status, all.String())
		}
	}
}
