package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

// echo answers with what it got.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
}

func TestKeepAliveAndPipelining(t *testing.T) {
	_, addr := serve(t, newScene(backend(t, echo)), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	const n = 500
	var all strings.Builder
	for i := range n {
		if i%2 == 0 {
			fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		} else {
			fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", i)
		}
	}
	go c.send(all.String())
	for i := range n {
		want, method := fmt.Sprintf("GET /%d ", i), "GET"
		if i%2 == 1 {
			want, method = fmt.Sprintf("POST /%d abc", i), "POST"
		}
		if _, body := c.response(method); body != want {
			t.Fatalf("answer %d is %q, want %q", i, body, want)
		}
	}
	c.send("GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n")
	if resp, body := c.response("GET"); body != "GET /last " || !resp.Close {
		t.Errorf("%q, close %v", body, resp.Close)
	}
	c.wantEnd("after connection: close")
}

func TestHTTP10(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			fmt.Fprint(w, "one ")
			w.(http.Flusher).Flush()
			fmt.Fprint(w, "two")
			return
		}
		fmt.Fprint(w, r.Host)
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})

	c := dial(t, addr)
	c.send("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n")
	if resp, body := c.response("GET"); body != "h" || resp.Header.Get("Connection") != "keep-alive" {
		t.Errorf("%q, %v", body, resp.Header)
	}
	c.send("GET / HTTP/1.0\r\nHost: h2\r\n\r\n")
	if resp, body := c.response("GET"); body != "h2" || !resp.Close {
		t.Errorf("%q, %v", body, resp.Header)
	}
	c.wantEnd("HTTP/1.0 without keep-alive")

	c = dial(t, addr) // chunks are not for HTTP/1.0
	c.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\nHost: h\r\n\r\n")
	resp, body := c.response("GET")
	if body != "one two" || resp.TransferEncoding != nil || !resp.Close {
		t.Errorf("%q, %v, %v", body, resp.TransferEncoding, resp.Header)
	}
	c.wantEnd("a stream to HTTP/1.0")
}

func TestAnswersWithoutBody(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[1:])
		if r.Method == "HEAD" {
			w.Header().Set("Content-Length", "12345")
		}
		w.WriteHeader(status)
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for _, tt := range []struct{ method, path, length string }{
		{"HEAD", "/200", "12345"},
		{"GET", "/204", ""},
		{"GET", "/304", ""},
		{"HEAD", "/404", "12345"},
		{"GET", "/200", "0"},
		{"DELETE", "/204", ""},
	} {
		c.send("%s %s HTTP/1.1\r\nHost: x\r\n\r\n", tt.method, tt.path)
		resp, body := c.response(tt.method)
		if "/"+strconv.Itoa(resp.StatusCode) != tt.path || body != "" || resp.Header.Get("Content-Length") != tt.length || resp.Close {
			t.Errorf("%s %s: %d, %q, %v", tt.method, tt.path, resp.StatusCode, body, resp.Header)
		}
	}
}

func TestTrailersBothWays(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Down")
		fmt.Fprintf(w, "%s %s", body, r.Trailer.Get("X-Up"))
		w.Header().Set("X-Down", "down")
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nTE: trailers, deflate\r\nTransfer-Encoding: chunked\r\nTrailer: X-Up\r\n\r\n" +
			"5\r\nhello\r\n0\r\nX-Up: up\r\nContent-Length: 7\r\n\r\n")
		resp, body := c.response("POST")
		if body != "hello up" || resp.Trailer.Get("X-Down") != "down" {
			t.Errorf("%q, trailers %v", body, resp.Trailer)
		}
	}
}

func TestAnswerUntilClose(t *testing.T) {
	primary := peer(t, func(w *wire) {
		if r, _ := w.request(); r != nil {
			w.send("HTTP/1.1 200 OK\r\n\r\nall of it")
		}
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 3 { // the client's connection stays
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, body := c.response("GET")
		if body != "all of it" || resp.Close || len(resp.TransferEncoding) != 1 {
			t.Errorf("%q, close %v, %v", body, resp.Close, resp.TransferEncoding)
		}
	}
	c.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	if _, body := c.response("GET"); body != "all of it" {
		t.Errorf("HTTP/1.0: %q", body)
	}
}

func TestInterimAnswers(t *testing.T) {
	primary := peer(t, func(w *wire) {
		for r, body := w.request(); r != nil; r, body = w.request() {
			w.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"+
				"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		}
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if resp, _ := c.response("GET"); resp.StatusCode != 103 || resp.Header.Get("Link") != "</x>" {
			t.Errorf("%d, %v", resp.StatusCode, resp.Header)
		}
		if resp, _ := c.response("GET"); resp.StatusCode != 200 {
			t.Errorf("then %d", resp.StatusCode)
		}
	}
	c.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	if resp, _ := c.response("GET"); resp.StatusCode != 200 {
		t.Errorf("HTTP/1.0 got %d", resp.StatusCode)
	}
}

func TestExpectContinue(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Expect") != "" {
			t.Error("Expect reached the primary")
		}
		echo(w, r)
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		if resp, _ := c.response("POST"); resp.StatusCode != 100 {
			t.Fatalf("%d before the body", resp.StatusCode)
		}
		c.send("hello")
		if resp, body := c.response("POST"); resp.StatusCode != 200 || body != "POST / hello" {
			t.Errorf("%d %q", resp.StatusCode, body)
		}
	}
	// Whoever does not wait gets no 100.
	c.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
	if resp, _ := c.response("POST"); resp.StatusCode != 200 {
		t.Errorf("%d with the body at once", resp.StatusCode)
	}
}

func TestTargets(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.Host, r.RequestURI) })
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for target, want := range map[string]string{
		"http://other:8000/a?b": "other:8000 /a?b",
		"http://other":          "other /",
		"http://other?q":        "other /?q",
		"/plain":                "x /plain",
		"/%2f/..//a":            "x /%2f/..//a",
	} {
		c.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
		if _, body := c.response("GET"); body != want {
			t.Errorf("%s: %q, want %q", target, body, want)
		}
	}
	c.send("CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n")
	if resp, _ := c.response("GET"); resp.StatusCode != 404 || !resp.Close {
		t.Errorf("CONNECT: %d, close %v", resp.StatusCode, resp.Close)
	}
	c.wantEnd("after CONNECT")
}

func TestHopByHop(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "X-Private", "Te", "Upgrade"} {
			if v := r.Header.Values(name); len(v) > 0 {
				t.Errorf("request: %s: %q", name, v)
			}
		}
		if r.Header.Get("X-Public") != "1" {
			t.Error("X-Public is lost")
		}
		w.Header().Set("Connection", "X-Down")
		w.Header().Set("X-Down", "1")
		w.Header().Set("Keep-Alive", "timeout=5")
		w.Header().Set("Proxy-Connection", "keep-alive")
		w.Header().Set("X-Up", "1")
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: x-private, keep-alive\r\nX-Private: 1\r\nX-Public: 1\r\n" +
		"Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\n\r\n")
	resp, _ := c.response("GET")
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "X-Down"} {
		if v := resp.Header.Values(name); len(v) > 0 {
			t.Errorf("response: %s: %q", name, v)
		}
	}
	if resp.Header.Get("X-Up") != "1" {
		t.Error("X-Up is lost")
	}
}
