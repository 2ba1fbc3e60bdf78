package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/cli"
	"github.com/sundog-mesh/sundog/internal/mirror"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// stream is an output that tests wait on.
type stream struct {
	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more != nil {
		close(s.more)
		s.more = nil
	}
	return s.text.Write(p)
}

// read returns the text so far and a channel that is closed with the next write.
func (s *stream) read() (string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		s.more = make(chan struct{})
	}
	return s.text.String(), s.more
}

// process is a sundog that runs inside of the test.
type process struct {
	t        *testing.T
	out, err stream
	stop     context.CancelFunc
	done     chan struct{}
	code     int
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &process{t: t, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.code = cli.Main(ctx, args, cli.Streams{In: strings.NewReader(""), Out: &p.out, Err: &p.err})
	}()
	t.Cleanup(func() { p.exit() })
	return p
}

// exit ends the process and returns its exit code.
func (p *process) exit() int {
	p.t.Helper()
	p.stop()
	return p.wait()
}

// wait waits until the process has ended by itself.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		text, _ := p.err.read()
		p.t.Fatalf("it does not end; stderr:\n%s", text)
	}
	return p.code
}

// find waits until the stream has a match, and returns its first group.
func (p *process) find(s *stream, pattern string) string {
	p.t.Helper()
	re, limit := regexp.MustCompile(pattern), time.After(patience)
	for {
		text, more := s.read()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-more:
		case <-p.done:
			if text, _ := s.read(); !re.MatchString(text) {
				p.t.Fatalf("it ended with %d and without %s:\n%s", p.code, pattern, text)
			}
		case <-limit:
			p.t.Fatalf("no %s in:\n%s", pattern, text)
		}
	}
}

func (p *process) address(listener string) string {
	p.t.Helper()
	return p.find(&p.err, `msg=listening listener=`+regexp.QuoteMeta(listener)+` address=(\S+)`)
}

func (p *process) adminURL(path string) string {
	p.t.Helper()
	return "http://" + p.find(&p.err, `msg="admin interface" address=(\S+)`) + path
}

// service is an HTTP service that answers with its name and tells of requests.
func service(t *testing.T, name string) (address string, hosts <-chan string) {
	t.Helper()
	got := make(chan string, 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Host
		_, _ = io.WriteString(w, name)
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), got
}

// client has connections of its own; with a proxy it is the mesh's.
func client(t *testing.T, proxy string) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	if proxy != "" {
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: proxy})
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

func get(t *testing.T, c *http.Client, target string) (int, string) {
	t.Helper()
	resp, err := c.Get(target)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func receive(t *testing.T, c <-chan string) string {
	t.Helper()
	select {
	case s := <-c:
		return s
	case <-time.After(patience):
		t.Fatal("the service got no request")
		return ""
	}
}

// ledger reads /ledger until nothing is in flight.
func ledger(t *testing.T, p *process) mirror.Report {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		_, body := get(t, client(t, ""), p.adminURL("/ledger"))
		var r mirror.Report
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
		if !strings.Contains(body, "in_flight") {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("still in flight: %s", body)
		}
	}
}
