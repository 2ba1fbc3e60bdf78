package admin

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/proxy"
)

func (s *Server) stats(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("format") == "prometheus" {
		s.prometheus(w, r)
		return
	}
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	stats, err := selectStats(s.state.Status().Stats, q)
	if err != nil {
		badRequest(w, err.Error())
		return
	}
	if !asJSON {
		plain(w, http.StatusOK)
		for _, st := range stats {
			_, _ = fmt.Fprintf(w, "%s: %d\n", st.Name, st.Value)
		}
		return
	}
	type stat struct {
		Name  string `json:"name"`
		Value uint64 `json:"value"`
	}
	out := struct {
		Stats []stat `json:"stats"`
	}{make([]stat, 0, len(stats))}
	for _, st := range stats {
		out.Stats = append(out.Stats, stat{st.Name, st.Value})
	}
	jsonHead(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(out) // plain data: only the connection can fail
}

// selectStats sorts the stats and keeps those that the query asks for: filter
// (a regular expression that finds something in the name), type (Counters or
// Gauges, whatever their case) and usedonly (not zero).
func selectStats(all []proxy.Stat, q url.Values) ([]proxy.Stat, error) {
	filter, err := regexp.Compile(q.Get("filter"))
	if err != nil {
		return nil, fmt.Errorf("invalid regex in ?filter=: %w", err)
	}
	kind := strings.ToLower(q.Get("type"))
	switch kind {
	case "", "all", "counters", "gauges":
	case "histograms", "textreadouts":
		return nil, nil // known to Envoy; there are none here
	default:
		return nil, fmt.Errorf("type %q is not known: use All, Counters or Gauges", q.Get("type"))
	}
	var kept []proxy.Stat
	for _, st := range all {
		if kind == "counters" && st.Gauge || kind == "gauges" && !st.Gauge ||
			q.Has("usedonly") && st.Value == 0 || !filter.MatchString(st.Name) {
			continue
		}
		kept = append(kept, st)
	}
	slices.SortFunc(kept, func(a, b proxy.Stat) int { return cmp.Compare(a.Name, b.Name) })
	return kept, nil
}

// prometheus serves all metrics. ?usedonly is taken and shows unused ones all
// the same, as scrape configurations for Envoy have it; ?filter= is refused.
func (s *Server) prometheus(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.opt.Metrics == nil:
		plain(w, http.StatusNotFound)
		_, _ = io.WriteString(w, "there are no Prometheus metrics\n")
	case r.URL.Query().Has("filter"):
		badRequest(w, "?filter= is not supported in Prometheus format: drop what you do not want where you scrape")
	default:
		s.opt.Metrics.ServeHTTP(w, r)
	}
}
