package admin

import (
	"net/http"
	"net/http/pprof"
	"strings"
)

// profiles serves Go's profiles at their usual paths. The import registers them with
// the default mux, too, which nothing serves.
func (s *Server) profiles(w http.ResponseWriter, r *http.Request) {
	switch strings.TrimPrefix(r.URL.Path, "/debug/pprof/") {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
