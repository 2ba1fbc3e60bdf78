package test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// request is one request as a service got it.
type request struct {
	method, host, path string
	header             http.Header
	transfer           string // "chunked", or the content length
	sum                string // of the body, SHA-256
	size               int64
	err                error // why the body ended before it should
}

// service is an HTTP service in the test process. It answers with its name and
// keeps what it gets.
type service struct {
	name, address string
	received      atomic.Int64 // bytes of bodies

	mu       sync.Mutex
	requests []request
}

func serve(t *testing.T, name string) *service {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return serveOn(t, name, ln)
}

func serveOn(t *testing.T, name string, ln net.Listener) *service {
	s := &service{name: name, address: ln.Addr().String()}
	srv := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln) // it ends with Close
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	got := request{method: r.Method, host: r.Host, path: r.URL.Path, header: r.Header, transfer: fmt.Sprint(r.ContentLength)}
	if r.ContentLength < 0 {
		got.transfer = strings.Join(r.TransferEncoding, ",")
	}
	hash := sha256.New()
	got.size, got.err = io.Copy(hash, countingReader{r.Body, &s.received})
	got.sum = hex.EncodeToString(hash.Sum(nil))
	s.mu.Lock()
	s.requests = append(s.requests, got)
	s.mu.Unlock()
	_, _ = io.WriteString(w, s.name)
}

type countingReader struct {
	r io.Reader
	n *atomic.Int64
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (s *service) got() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[:len(s.requests):len(s.requests)]
}

// hosts counts the requests by their Host.
func (s *service) hosts() map[string]int {
	n := map[string]int{}
	for _, r := range s.got() {
		n[r.host]++
	}
	return n
}

// beService serves until the process is killed: a peer that tests can kill.
func beService() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintf(os.Stdout, "listening on %s\n", ln.Addr())
	err = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "shadow")
	}))
	panic(err)
}

// serviceProcess starts a service in a process of its own.
func serviceProcess(t *testing.T) (p *process, address string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serviceVariable+"=1")
	p = start(t, cmd)
	return p, p.find(&p.out, `listening on (\S+)`)
}

// httpbin is Debian's httpbin under gunicorn.
type httpbin struct {
	*process
	address string
	log     string // file
}

func startHTTPBin(t *testing.T, name string) *httpbin {
	t.Helper()
	const program, packages = "/usr/bin/gunicorn", "apt-get install gunicorn python3-httpbin"
	if _, err := os.Stat(program); err != nil {
		missing(t, program, packages)
	}
	if err := exec.Command("/usr/bin/python3", "-c", "import httpbin").Run(); err != nil {
		missing(t, "python3-httpbin", packages)
	}
	log := filepath.Join(t.TempDir(), name+".access")
	p := start(t, exec.Command(program, "-b", "127.0.0.1:0", "-w", "1", "--threads", "4",
		"--access-logfile", log, "--access-logformat", `%(t)s "%(r)s" %(s)s host=%({host}i)s`, "httpbin:app"))
	address := p.find(&p.err, `Listening at: http://(\S+)`)
	p.find(&p.err, `Booting worker`)
	return &httpbin{p, address, log}
}

// lines are the requests that it has logged.
func (h *httpbin) lines() []string {
	h.t.Helper()
	data, err := os.ReadFile(h.log)
	must(h.t, err)
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// listening starts a program that must be told where to listen, and returns
// the address once it does. A port that was free a moment ago may be another's
// by then; the program ends over that, and another port is tried.
func listening(t *testing.T, command func(address string) *exec.Cmd) (address string) {
	t.Helper()
	for range 5 {
		address := freeAddress(t)
		p := start(t, command(address))
		ended, connected := false, false
		eventually(t, "the program listens, or ends", func() bool {
			c, err := net.Dial("tcp", address)
			if connected = err == nil; connected {
				_ = c.Close()
			}
			select {
			case <-p.done:
				ended = true
			default:
			}
			return connected || ended
		})
		if !ended {
			return address
		}
	}
	t.Fatal("no port stayed free")
	return ""
}

// freeAddress is an address that nobody listens on at present.
func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { must(t, ln.Close()) }()
	return ln.Addr().String()
}

// client has connections of its own, at most 8. With a proxy it is a client of
// the mesh.
func client(t *testing.T, proxy string) *http.Client {
	t.Helper()
	tr := &http.Transport{MaxConnsPerHost: 8, MaxIdleConnsPerHost: 8}
	if proxy != "" {
		tr.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// send makes n requests, 8 at a time, and wants 200 with the body for each.
func send(t *testing.T, c *http.Client, n int, want string, make func() *http.Request) {
	t.Helper()
	var wg sync.WaitGroup
	var left, failed atomic.Int64
	left.Store(int64(n))
	for range 8 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				status, body, err := exchange(c, make())
				if err != nil || status != http.StatusOK || want != "" && body != want {
					if failed.Add(1) <= 3 {
						t.Errorf("a request got %d %.200q, %v", status, body, err)
					}
				}
			}
		})
	}
	wg.Wait()
	if f := failed.Load(); f > 0 {
		t.Errorf("%d of %d requests failed", f, n)
	}
}

func exchange(c *http.Client, r *http.Request) (status int, body string, err error) {
	resp, err := c.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(data), err
}

// get makes a function that makes GET requests.
func get(t *testing.T, target string) func() *http.Request {
	t.Helper()
	u, err := url.Parse(target)
	must(t, err)
	return func() *http.Request {
		return &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{}}
	}
}
