package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/report"
)

// Reporter is what comparing has found. It may be asked at any time.
type Reporter interface {
	Report() report.Report
}

// nothingCompared answers /report and /verdict where there is no Reporter.
const nothingCompared = "nothing is compared here: to turn it on, attach a ShadowPolicy with spec.compare to a route that has a mirror"

// report serves what was found: ?format=json (default), html, markdown or text;
// ?route= selects one route.
func (s *Server) report(w http.ResponseWriter, r *http.Request) {
	q, found, ok := s.found(w, r)
	if !ok {
		return
	}
	h := w.Header()
	write := report.JSON
	switch f := q.Get("format"); f {
	case "", "json":
		jsonHead(w)
	case "html":
		// The page's own policy cannot say this (CSP 3, 6.4.2).
		h.Set("Content-Security-Policy", "frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		textHead(h, "text/html")
		write = report.HTML
	case "markdown":
		textHead(h, "text/markdown")
		write = report.Markdown
	case "text":
		textHead(h, "text/plain")
		write = func(w io.Writer, r report.Report) error { return report.Text(w, r, report.TextOptions{}) }
	default:
		badRequest(w, fmt.Sprintf("format %q is not known: use json, html, markdown or text", f))
		return
	}
	if r.Method != http.MethodHead {
		_ = write(w, found) // plain data: only the connection can fail
	}
}

func textHead(h http.Header, kind string) {
	h.Set("Content-Type", kind+"; charset=UTF-8")
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
}

// verdict serves the decision within ?max-diff=, ?max-latency-ratio= and
// ?confidence= as JSON, with 200. With ?gate= the status is the answer:
// 200 if it is what the gate waits for, 409 if it is not, and 503 if the gate
// waits for "equivalent" and that may still come.
func (s *Server) verdict(w http.ResponseWriter, r *http.Request) {
	q, found, ok := s.found(w, r)
	if !ok {
		return
	}
	known := []string{"max-diff", "max-latency-ratio", "confidence", "gate", "route"}
	for name := range q {
		if !slices.Contains(known, name) { // a limit that is misspelt would be none
			badRequest(w, fmt.Sprintf("%q is not known: use %s", name, strings.Join(known, ", ")))
			return
		}
	}
	limits, err := limitsOf(q)
	if err != nil {
		badRequest(w, err.Error())
		return
	}
	d := report.JudgeAll(found, limits)
	status, err := gate(q.Get("gate"), d)
	if err != nil {
		badRequest(w, err.Error())
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	_ = enc.Encode(d) // plain data: only the connection can fail
}

// found is the query and the report of the route that it selects. It answers
// itself where there is none.
func (s *Server) found(w http.ResponseWriter, r *http.Request) (url.Values, report.Report, bool) {
	if s.opt.Reporter == nil {
		plain(w, http.StatusNotFound)
		_, _ = io.WriteString(w, nothingCompared+"\n")
		return nil, report.Report{}, false
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		badRequest(w, fmt.Sprintf("the query cannot be read: %v; a percent sign in it is written %%25, or write 0.001 for 0.1 %%", err))
		return nil, report.Report{}, false
	}
	only, err := s.opt.Reporter.Report().Only(q.Get("route"))
	if err != nil {
		plain(w, http.StatusNotFound)
		_, _ = io.WriteString(w, err.Error()+"\n")
		return nil, report.Report{}, false
	}
	return q, only, true
}

func limitsOf(q url.Values) (report.Limits, error) {
	var l report.Limits
	if s := q.Get("max-diff"); s != "" {
		share, err := report.ParseShare(s)
		if err != nil {
			return l, fmt.Errorf("max-diff: %w", err)
		}
		l.MaxDiff = &share
	}
	if s := q.Get("max-latency-ratio"); s != "" {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil || v == 0 {
			return l, fmt.Errorf("max-latency-ratio: %q is no ratio: write 1.05 for 5 %% more time, or inf for any", s)
		}
		l.MaxLatencyRatio = v
	}
	if s := q.Get("confidence"); s != "" {
		v, err := report.ParseShare(s)
		if err != nil || v == 0 {
			return l, fmt.Errorf("confidence %s is out of range: write one from 0.5 up to 1, like 0.99", s)
		}
		l.Confidence = v
	}
	return l, l.Check()
}

// gate is the status of the answer.
func gate(name string, d report.Decisions) (int, error) {
	open := false
	switch name {
	case "":
		return http.StatusOK, nil
	case "true", "equivalent":
		if !d.Pass && !d.Fail && !d.Stuck {
			return http.StatusServiceUnavailable, nil
		}
		open = d.Pass
	case "different":
		open = d.Fail
	case "not-different":
		open = !d.Fail
	default:
		return 0, errors.New("gate " + strconv.Quote(name) + " is not known: use equivalent (or true), different or not-different")
	}
	if !open {
		return http.StatusConflict, nil
	}
	return http.StatusOK, nil
}
