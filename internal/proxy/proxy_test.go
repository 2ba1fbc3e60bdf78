package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

func TestForwardAndMirror(t *testing.T) {
	var shadowed atomic.Int64
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Host, r.URL, body)
	})
	shadow := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && r.Host == "example-shadow:8000" && string(body) == "hello" && r.Header.Get("x-envoy-internal") == "true" {
			shadowed.Add(1)
		}
		w.WriteHeader(500)
	})
	p, addr := serve(t, newScene(primary, shadow), proxy.Options{Concurrency: 2})
	c := client(t)
	for range 100 {
		req, _ := http.NewRequest("POST", "http://"+addr+"/x?y=1", strings.NewReader("hello"))
		req.Host = "example:8000"
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != "POST example:8000 /x?y=1 hello" {
			t.Fatalf("got %q", body)
		}
	}
	wantCompleted(t, p, 100)
	if shadowed.Load() != 100 {
		t.Errorf("%d right copies", shadowed.Load())
	}
}

func TestPlainTextExchange(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok") })
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(nc)
	if err != nil {
		t.Fatalf("%v after %q", err, got)
	}
	if n := strings.Count(string(got), "HTTP/1.1 200 OK"); n != 2 {
		t.Errorf("%d answers in %q", n, got)
	}
}
