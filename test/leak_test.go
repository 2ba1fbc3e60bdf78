package test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// leakGateway has a plain and a TLS port, and beside the shop a service that
// goes wrong.
const leakGateway = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, serverCertificate: %s, privateKey: %s}}
`

const leakRoutes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop}
spec:
  hosts: ["*"]
  gateways: [gw]
  http:
  - match: [{uri: {prefix: /broken/}}]
    route: [{destination: {host: broken}}]
    mirror: {host: broken}
    retries: {attempts: 0}
  - match: [{uri: {prefix: /version-%d}}]
    route: [{destination: {host: shop}}]
  - route: [{destination: {host: shop}}]
    mirror: {host: shop-next}
`

// TestNothingLeaks: after traffic of every kind, with clients and services that
// go wrong and with reloads, no goroutine, descriptor or request is left.
func TestNothingLeaks(t *testing.T) {
	ca := newAuthority(t)
	certificate, key := ca.issue("shop.example").files(t, t.TempDir(), "shop")
	breaks := brokenService(t)
	g := newGateway(t, ca, map[string]string{
		"gateway.yaml": fmt.Sprintf(leakGateway, certificate, key), "routes.yaml": fmt.Sprintf(leakRoutes, 0), "broken.yaml": services("broken"),
	}, "--endpoint", "broken="+breaks, "--shadow-timeout", "1s")
	plain, secure := g.listener("0.0.0.0_80"), g.listener("0.0.0.0_443")
	mixed := func(n int) {
		var wg sync.WaitGroup
		for _, k := range leakClients(ca) {
			wg.Go(func() { k.send(t, plain, secure, n) })
		}
		wg.Wait()
	}
	mixed(2)
	g.settled()
	before := g.footprint()
	for i := 1; i <= 5; i++ {
		mixed(20)
		for _, in := range brokenClients {
			breakOff(t, plain, in)
			breakOff(t, secure, in)
		}
		replace(t, filepath.Join(g.dir, "routes.yaml"), fmt.Sprintf(leakRoutes, i))
		eventually(t, "the new version is in effect", func() bool {
			_, dump := g.get("/config_dump?resource=dynamic_route_configs")
			return bytes.Contains(dump, fmt.Appendf(nil, "/version-%d", i))
		})
	}
	g.settled()
	g.returnsTo(before)
	g.stop()
}

// leakClient sends requests over one protocol and closes its connections.
type leakClient struct {
	transport http.Transport
	secure    bool
}

func leakClients(ca *authority) []*leakClient {
	roots := ca.Pool()
	var all []*leakClient
	for _, two := range []bool{false, true} {
		for _, secure := range []bool{false, true} {
			k := &leakClient{secure: secure}
			k.transport.TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: "shop.example"}
			k.transport.Protocols = new(http.Protocols)
			k.transport.Protocols.SetHTTP1(!two)
			k.transport.Protocols.SetHTTP2(two && secure)
			k.transport.Protocols.SetUnencryptedHTTP2(two && !secure)
			all = append(all, k)
		}
	}
	return all
}

// send wants good requests to be answered, and broken services to be told of.
func (k *leakClient) send(t *testing.T, plain, secure string, n int) {
	c := &http.Client{Transport: &k.transport, Timeout: patience}
	defer k.transport.CloseIdleConnections()
	target := &url.URL{Scheme: "http", Host: plain, Path: "/"}
	if k.secure {
		target.Scheme, target.Host = "https", secure
	}
	for i := range n {
		body := strings.Repeat("x", i*1000)
		r := &http.Request{
			Method: http.MethodPost, URL: target, Host: "shop.example", Header: http.Header{},
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}
		if status, answer, err := exchange(c, r); err != nil || status != http.StatusOK || answer != "primary" {
			t.Errorf("a request got %d %q, %v", status, answer, err)
		}
	}
	for _, how := range []string{"/broken/garbage", "/broken/close", "/broken/cut", "/broken/reset"} {
		u := *target
		u.Path = how
		r := &http.Request{Method: http.MethodGet, URL: &u, Host: "shop.example", Header: http.Header{}}
		if status, answer, err := exchange(c, r); err == nil && status < http.StatusInternalServerError {
			t.Errorf("%s got %d %q", how, status, answer)
		}
	}
}

// brokenService goes wrong in the way that the path says.
func brokenService(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { breakAnswer(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

func breakAnswer(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	n, _ := c.Read(buf)
	switch request := string(buf[:n]); {
	case strings.Contains(request, "/broken/garbage"):
		_, _ = io.WriteString(c, "garbage\r\n\r\n")
	case strings.Contains(request, "/broken/cut"):
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut")
	case strings.Contains(request, "/broken/reset"):
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nre")
		_ = c.(*net.TCPConn).SetLinger(0)
	}
}

// brokenClients are what clients send before they are gone.
var brokenClients = []string{
	"", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	"garbage\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage garbage", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half",
}

// breakOff sends bytes, then resets, closes, or ends one direction only and
// closes when sundog does.
func breakOff(t *testing.T, address, in string) {
	t.Helper()
	for _, how := range []string{"reset", "close", "half"} {
		c, err := net.Dial("tcp", address)
		must(t, err)
		_, err = io.WriteString(c, in)
		must(t, err)
		switch tcp := c.(*net.TCPConn); how {
		case "reset":
			_ = tcp.SetLinger(0)
		case "half":
			_ = tcp.CloseWrite()
			_ = tcp.SetReadDeadline(time.Now().Add(patience))
			_, err := io.Copy(io.Discard, tcp)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%q and the end of input: the connection stays", in)
			}
		}
		_ = c.Close()
	}
}
