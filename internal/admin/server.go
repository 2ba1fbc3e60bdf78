package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
)

// Drainer stops the proxy's listeners from accepting; open connections go on.
type Drainer interface {
	DrainListeners()
}

// Options are the options of a Server.
type Options struct {
	// Version is what /server_info says; empty: "unknown".
	Version string
	// CommandLine is what /server_info says of the command line; nil: nothing.
	CommandLine *adminv3.CommandLineOptions
	// Metrics serves /stats/prometheus; nil: that path is not there.
	Metrics http.Handler
	// Reporter is what /report and /verdict show. nil: they say how to turn
	// comparing on.
	Reporter Reporter
	// Logger is told of failures to serve. nil: nobody is.
	Logger *slog.Logger
}

// Server is the admin interface. It is an http.Handler, too.
type Server struct {
	state   *State
	drainer Drainer
	opt     Options
	handler http.Handler
}

// page is one path of the admin interface.
type page struct {
	path, help string
	post       bool // changes something, so GET will not do
	any        bool // changes nothing, but webhooks POST to it, too
	serve      func(*Server, http.ResponseWriter, *http.Request)
}

// pages lists the admin interface, in the order of /help.
func pages() []page {
	return []page{
		{path: "/", help: "Admin home page", serve: (*Server).home},
		{path: "/clusters", help: "upstream cluster status (?format=json)", serve: (*Server).clusters},
		{path: "/config_dump", help: "the whole configuration as Envoy protos (?resource=, ?include_eds)", serve: (*Server).configDump},
		{path: "/debug/pprof/", help: "profiles of the process, for go tool pprof", serve: (*Server).profiles},
		{path: "/drain_listeners", help: "stop accepting connections", post: true, serve: (*Server).drainListeners},
		{path: "/help", help: "print out list of admin commands", serve: (*Server).help},
		{path: "/ledger", help: "what became of every mirrored request, and what the brakes do, as JSON", serve: (*Server).ledger},
		{path: "/listeners", help: "print listener info (?format=json)", serve: (*Server).listeners},
		{path: "/ready", help: "print server state, return 200 if LIVE, otherwise return 503", serve: (*Server).ready},
		{path: "/report", help: "what comparing has found (?format=json|html|markdown|text, ?route=)", serve: (*Server).report},
		{path: "/server_info", help: "print server version/status information", serve: (*Server).serverInfo},
		{path: "/stats", help: "print server stats (?filter=regex, ?usedonly, ?type=, ?format=json|prometheus)", serve: (*Server).stats},
		{path: "/stats/prometheus", help: "print server stats in Prometheus format", serve: (*Server).prometheus},
		{path: "/verdict", help: "is it the same within limits (?max-diff=, ?max-latency-ratio=, ?confidence=, ?route=, ?gate=)", any: true, serve: (*Server).verdict},
	}
}

// New returns a server over the state; drainer may be nil, then there is no
// /drain_listeners.
func New(state *State, drainer Drainer, opt Options) *Server {
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if opt.Version == "" {
		opt.Version = "unknown"
	}
	s := &Server{state: state, drainer: drainer, opt: opt}
	mux := http.NewServeMux()
	for _, p := range pages() {
		pattern := p.path
		if pattern == "/" {
			pattern = "/{$}"
		}
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !allowed(w, r, p) {
				return
			}
			p.serve(s, w, r)
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusNotFound)
		_, _ = io.WriteString(w, "invalid path. "+helpText())
	})
	// A web page elsewhere must not post here through its reader's browser.
	s.handler = http.NewCrossOriginProtection().Handler(mux)
	return s
}

// allowed answers 405 to a wrong method, in Envoy's words.
func allowed(w http.ResponseWriter, r *http.Request, p page) bool {
	want := http.MethodGet
	switch {
	case p.post:
		want = http.MethodPost
	case r.Method == http.MethodHead, p.any && r.Method == http.MethodPost:
		return true
	}
	if r.Method == want {
		return true
	}
	w.Header().Set("Allow", want)
	plain(w, http.StatusMethodNotAllowed)
	_, _ = fmt.Fprintf(w, "Method %s not allowed, %s required.", r.Method, want)
	return false
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves on the listener until ctx ends, and closes it. Requests that run
// get a second to end.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(s.opt.Logger.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return fmt.Errorf("serving the admin interface: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close() // Shutdown's error is its deadline: some request hangs
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the admin interface: %w", err)
	}
	return nil
}

func helpText() string {
	var b strings.Builder
	b.WriteString("admin commands are:\n")
	for _, p := range pages() {
		method := ""
		if p.post {
			method = " (POST)"
		}
		fmt.Fprintf(&b, "  %s%s: %s\n", p.path, method, p.help)
	}
	return b.String()
}

// plain begins a text answer, as Envoy's.
func plain(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
}

func jsonHead(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
}

func badRequest(w http.ResponseWriter, message string) {
	plain(w, http.StatusBadRequest)
	_, _ = io.WriteString(w, message+"\n")
}

// wantsJSON reads ?format=. It answers 400 to one that is not known.
func wantsJSON(w http.ResponseWriter, r *http.Request) (asJSON, ok bool) {
	switch f := r.URL.Query().Get("format"); f {
	case "", "text":
		return false, true
	case "json":
		return true, true
	default:
		badRequest(w, fmt.Sprintf("format %q is not known: use text or json", f))
		return false, false
	}
}
