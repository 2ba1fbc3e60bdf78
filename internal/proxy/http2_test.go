package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"

	"github.com/sundog-mesh/sundog/internal/mirror"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// witness is a server that echoes and notes, by path, what it got.
type witness struct {
	mu    sync.Mutex
	notes map[string]string
}

func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	note := fmt.Sprintf("%s %d %x %v trailer=%q te=%q expect=%q cookie=%q", r.Method, len(body), sha256.Sum256(body), err,
		r.Trailer.Get("X-Up"), r.Header["Te"], r.Header["Expect"], r.Header["Cookie"])
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "X-Private", "Host"} {
		if v, ok := r.Header[name]; ok {
			note += fmt.Sprintf(" %s=%q", name, v)
		}
	}
	w.mu.Lock()
	w.notes[r.URL.Path] = note
	w.mu.Unlock()
	rw.Header().Set("X-Host", r.Host)
	switch kind, _, _ := strings.Cut(r.URL.Path[1:], "/"); kind {
	case "204":
		rw.WriteHeader(204)
		return
	case "304":
		rw.Header().Set("Etag", `"a"`)
		rw.WriteHeader(304)
		return
	case "103":
		rw.Header().Set("Link", "</x>")
		rw.WriteHeader(103)
	case "trailers":
		rw.Header().Set("Trailer", "X-Down")
		defer rw.Header().Set("X-Down", "down")
	case "flush": // so that the length is not known
		rw.WriteHeader(200)
		rw.(http.Flusher).Flush()
	}
	if r.Method == "HEAD" {
		rw.Header().Set("Content-Length", "12345")
		return
	}
	_, _ = rw.Write(body)
}

func (w *witness) seen() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.notes)
}

func TestProtocolPairs(t *testing.T) {
	both := []protocol{h1, h2c}
	for _, down := range both {
		for _, up := range both {
			for _, shadow := range both {
				t.Run(fmt.Sprintf("%s, %s, shadow %s", down, up, shadow), func(t *testing.T) { pairing(t, down, up, shadow) })
			}
		}
	}
}

func pairing(t *testing.T, down, up, shadow protocol) {
	one, two := &witness{notes: map[string]string{}}, &witness{notes: map[string]string{}}
	s := newScene(up.backend(t, one.ServeHTTP), shadow.backend(t, two.ServeHTTP)).over(t, up, shadow)
	p, addr := serve(t, s, proxy.Options{Concurrency: 1, Shadow: mirror.Limits{Buffer: 32 << 20}})
	c := down.client(t)
	var n uint64
	do := func(method, path string, body io.Reader, edit func(*http.Request)) (*http.Response, string) {
		t.Helper()
		n++
		req, err := http.NewRequest(method, "http://"+addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "example:8000"
		if edit != nil {
			edit(req)
		}
		resp, err := c.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		resp.Body.Close()
		if resp.Header.Get("X-Host") != "example:8000" {
			t.Errorf("%s %s: the primary got the host %q", method, path, resp.Header.Get("X-Host"))
		}
		if resp.ProtoMajor != map[protocol]int{h1: 1, h2c: 2}[down] {
			t.Errorf("answered in %s", resp.Proto)
		}
		return resp, string(got)
	}
	bodies(t, do)
	withoutBody(t, do)
	for i := range 2 {
		resp, body := do("POST", fmt.Sprintf("/trailers/%d", i), unsized{strings.NewReader("hello")}, func(r *http.Request) {
			r.Trailer = http.Header{"X-Up": {"up"}}
			r.Header.Set("Te", "trailers")
			r.Header.Set("Cookie", "a=1; b=2; c=3")
		})
		if body != "hello" || resp.Trailer.Get("X-Down") != "down" {
			t.Errorf("%q with the trailers %v", body, resp.Trailer)
		}
		note := one.seen()[fmt.Sprintf("/trailers/%d", i)]
		if !strings.Contains(note, `trailer="up" te=["trailers"]`) || !strings.HasSuffix(note, `cookie=["a=1; b=2; c=3"]`) {
			t.Errorf("the primary saw %s", note)
		}
		hints := 0
		trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") == "</x>" {
				hints++
			}
			return nil
		}}
		resp, body = do("POST", fmt.Sprintf("/103/%d", i), strings.NewReader("x"), func(r *http.Request) {
			*r = *r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
		})
		if hints != 1 || resp.StatusCode != 200 || body != "x" {
			t.Errorf("%d early hints, then %d %q", hints, resp.StatusCode, body)
		}
		_, body = do("POST", fmt.Sprintf("/expect/%d", i), strings.NewReader("hello"), func(r *http.Request) { r.Header.Set("Expect", "100-continue") })
		if body != "hello" || !strings.Contains(one.seen()[fmt.Sprintf("/expect/%d", i)], "expect=[]") {
			t.Errorf("expecting 100: %q, %q", body, one.seen()[fmt.Sprintf("/expect/%d", i)])
		}
	}
	wantCompleted(t, p, n)
	a, b := one.seen(), two.seen()
	for path, note := range a {
		if b[path] != note {
			t.Errorf("%s: the primary saw %s\nthe shadow %s", path, note, b[path])
		}
	}
	wantQuiet(t, p)
}

type doer func(method, path string, body io.Reader, edit func(*http.Request)) (*http.Response, string)

func bodies(t *testing.T, do doer) {
	t.Helper()
	for _, size := range []int{0, 1, 64 << 10, 3 << 20} {
		want := payload(size)
		for _, sized := range []bool{true, false} {
			for _, kind := range []string{"plain", "flush"} {
				body := io.Reader(bytes.NewReader(want))
				if !sized {
					body = unsized{body}
				}
				resp, got := do("POST", fmt.Sprintf("/%s/%d/%v", kind, size, sized), body, nil)
				if resp.StatusCode != 200 || got != string(want) {
					t.Errorf("POST of %d bytes, sized %v, %s: %d with %d bytes", size, sized, kind, resp.StatusCode, len(got))
				}
			}
		}
	}
}

func withoutBody(t *testing.T, do doer) {
	t.Helper()
	for _, tt := range []struct {
		method, path, length string
		status               int
	}{
		{"GET", "/plain/get", "0", 200},
		{"HEAD", "/plain/head", "12345", 200},
		{"GET", "/204", "", 204},
		{"DELETE", "/204/delete", "", 204},
		{"GET", "/304", "", 304},
		{"HEAD", "/304/head", "", 304},
	} {
		resp, body := do(tt.method, tt.path, nil, nil)
		if resp.StatusCode != tt.status || body != "" || resp.Header.Get("Content-Length") != tt.length {
			t.Errorf("%s %s: %d %q %v", tt.method, tt.path, resp.StatusCode, body, resp.Header)
		}
	}
}

// TestNoConnectionFieldsOverHTTP2 sends what only a connection of HTTP/1.1 has.
func TestNoConnectionFieldsOverHTTP2(t *testing.T) {
	up := framed(t, nil, func(f *frames) {
		for {
			fr := f.read()
			if fr == nil {
				return
			}
			h, ok := fr.(*http2.MetaHeadersFrame)
			if !ok {
				t.Errorf("a frame %v", fr)
				return
			}
			for _, field := range h.RegularFields() {
				switch field.Name {
				case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "host", "x-private", "te":
					t.Errorf("%s: %s came over HTTP/2", field.Name, field.Value)
				}
			}
			f.head(h.StreamID, true, ":status", "200", "x-authority", h.PseudoValue("authority"), "x-target", h.PseudoValue("scheme")+" "+h.PseudoValue("path"))
		}
	})
	_, addr := serve(t, newScene(up).over(t, h2c), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 3 {
		c.send("GET /a?b HTTP/1.1\r\nHost: h:1\r\nConnection: x-private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: 5\r\n" +
			"Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n\r\n")
		resp, _ := c.response("GET")
		if resp.StatusCode != 200 || resp.Header.Get("X-Authority") != "h:1" || resp.Header.Get("X-Target") != "http /a?b" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
	}
}

// TestHostAgainstAuthority asks with both fields, as only a broken client would.
func TestHostAgainstAuthority(t *testing.T) {
	_, addr := serve(t, newScene(backend(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })), proxy.Options{Concurrency: 1})
	f := dialFrames(t, addr)
	f.head(1, true, ":method", "GET", ":scheme", "http", ":path", "/", "host", "only:1")
	if status, body := f.answered(1); status != "200" || body != "only:1" {
		t.Errorf("host alone: %s %q", status, body)
	}
	f.head(3, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "same", "host", "same")
	if status, body := f.answered(3); status != "200" || body != "same" {
		t.Errorf("both: %s %q", status, body)
	}
	f.head(5, true, ":method", "GET", ":scheme", "http", ":path", "/", ":authority", "one", "host", "two")
	switch fr := f.read().(type) {
	case *http2.RSTStreamFrame: // malformed
	case *http2.MetaHeadersFrame:
		if _, body := fr.PseudoValue("status"), want[*http2.DataFrame](f); string(body.Data()) != "one" {
			t.Errorf("two different ones: the primary got %q", body.Data())
		}
	default:
		t.Errorf("two different ones: %v", fr)
	}
}

// TestEarlyAnswerOverHTTP2 answers before the upload is complete.
func TestEarlyAnswerOverHTTP2(t *testing.T) {
	for _, down := range []protocol{h1, h2c} {
		for _, up := range []protocol{h1, h2c} {
			t.Run(fmt.Sprintf("%s to %s", down, up), func(t *testing.T) {
				primary := up.backend(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == "POST" {
						w.WriteHeader(413)
						_, _ = io.WriteString(w, "too large")
					}
				})
				s := newScene(primary, up.backend(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })).over(t, up, up)
				sink := &recorder{}
				p, addr := serve(t, s, proxy.Options{Concurrency: 1, Sink: sink})
				c := down.client(t)
				for i := range 3 {
					body, write := io.Pipe()
					go func() { // without end, until nobody wants it
						for piece := payload(64 << 10); ; {
							if _, err := write.Write(piece); err != nil {
								return
							}
						}
					}()
					req, _ := http.NewRequest("POST", "http://"+addr, body)
					resp, err := c.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					got, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					_ = body.Close()
					if resp.StatusCode != 413 || string(got) != "too large" {
						t.Errorf("%d %q", resp.StatusCode, got)
					}
					if got := sink.wait(t, traffic.Settled, i); got.primary.Status != 413 || got.shadows[0].Outcome == "completed" {
						t.Errorf("recorded %+v", got)
					}
				}
				if resp, err := c.Get("http://" + addr); err != nil || resp.StatusCode != 200 {
					t.Errorf("afterwards: %v, %v", resp, err)
				} else {
					resp.Body.Close()
				}
				wantQuiet(t, p)
			})
		}
	}
}
