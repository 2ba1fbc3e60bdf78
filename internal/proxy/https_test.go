package proxy_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/proxy"
)

// TestRedirectToHTTPS has a virtual host that requires TLS, on a port with it
// and one without.
func TestRedirectToHTTPS(t *testing.T) {
	ca := certtest.NewCA()
	s := newScene(backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Proto"))
	}))
	s.hcm.UseRemoteAddress = wrapperspb.Bool(true)
	snap := s.snapshot(t)
	snap.Routes[0].VirtualHosts[0].RequireTls = routev3.VirtualHost_ALL
	_, addr := run(t, snap, proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("GET /a?b HTTP/1.1\r\nHost: h.test\r\n\r\n")
	if resp, _ := c.response("GET"); resp.StatusCode != 301 || resp.Header.Get("Location") != "https://h.test/a?b" {
		t.Errorf("%d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	snap = s.secure(t, terminating(ca.Issue("127.0.0.1")))
	snap.Routes[0].VirtualHosts[0].RequireTls = routev3.VirtualHost_ALL
	snap.Routes[0].VirtualHosts[0].Routes = append([]*routev3.Route{{
		Match:  prefix("/moved"),
		Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{PathRewriteSpecifier: &routev3.RedirectAction_PathRedirect{PathRedirect: "/new"}}},
	}}, snap.Routes[0].VirtualHosts[0].Routes...)
	_, addr = run(t, snap, proxy.Options{Concurrency: 1})
	for _, down := range []protocol{h1, h2c} {
		sc := secureClient(t, &tls.Config{RootCAs: ca.Pool()}, down)
		for path, want := range map[string]string{"/": "200 https ", "/moved": fmt.Sprintf("301  https://%s/new", addr)} {
			req, _ := http.NewRequest("GET", "https://"+addr+path, nil)
			req.Header.Set("X-Forwarded-Proto", "http") // a lie
			resp, err := sc.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if got := fmt.Sprintf("%d %s %s", resp.StatusCode, body, resp.Header.Get("Location")); got != want {
				t.Errorf("%s over %s: %q, want %q", path, down, got, want)
			}
		}
	}
}

// TestEndOfTLS tells clients the end of their connection, encrypted.
func TestEndOfTLS(t *testing.T) {
	ca := certtest.NewCA()
	_, addr := run(t, newScene(backend(t, echo)).secure(t, terminating(ca.Issue("127.0.0.1"))), proxy.Options{Concurrency: 1})
	nc, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ca.Pool(), NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(nc) // an end without close_notify would be an error
	if err != nil || !strings.HasSuffix(string(all), "GET / ") {
		t.Errorf("%q, %v", all, err)
	}
}
