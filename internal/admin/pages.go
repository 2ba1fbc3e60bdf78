package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/mirror"
)

func (s *Server) home(w http.ResponseWriter, _ *http.Request) {
	var b strings.Builder
	b.WriteString("<!doctype html>\n<title>Sundog admin</title>\n<h1>Sundog admin</h1>\n<table>\n")
	for _, p := range pages() {
		path, help := html.EscapeString(p.path), html.EscapeString(p.help)
		link := `<a href="` + path + `">` + path + `</a>`
		if p.post {
			link = `<form method="post" action="` + path + `"><button>` + path + `</button></form>`
		}
		fmt.Fprintf(&b, "<tr><td>%s<td>%s\n", link, help)
	}
	b.WriteString("</table>\n")
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=UTF-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	_, _ = io.WriteString(w, b.String())
}

func (s *Server) help(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK)
	_, _ = io.WriteString(w, helpText())
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	st := s.state.source.Status()
	state, code := s.state.of(&st), http.StatusOK
	if state != adminv3.ServerInfo_LIVE {
		code = http.StatusServiceUnavailable
	}
	plain(w, code)
	_, _ = io.WriteString(w, state.String()+"\n")
}

func (s *Server) drainListeners(w http.ResponseWriter, _ *http.Request) {
	if s.drainer == nil {
		badRequest(w, "there is nothing to drain")
		return
	}
	s.state.Drain()
	s.drainer.DrainListeners()
	plain(w, http.StatusOK)
	_, _ = io.WriteString(w, "OK\n")
}

// ledger prints the ledger; lists are never null.
func (s *Server) ledger(w http.ResponseWriter, _ *http.Request) {
	report := s.state.source.Status().Ledger
	routes := make([]mirror.RouteReport, 0, len(report.Routes))
	for _, r := range report.Routes {
		mirrors := make([]mirror.MirrorReport, 0, len(r.Mirrors))
		for _, m := range r.Mirrors {
			if m.Outcomes == nil {
				m.Outcomes = map[string]uint64{}
			}
			mirrors = append(mirrors, m)
		}
		r.Mirrors = mirrors
		routes = append(routes, r)
	}
	report.Routes = routes
	jsonHead(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	_ = enc.Encode(report) // plain data: only the connection can fail
}

func (s *Server) configDump(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	for _, p := range []string{"mask", "name_regex"} {
		if q.Has(p) {
			badRequest(w, fmt.Sprintf("?%s= is not supported: use ?resource= to select a list, and a JSON tool for the rest", p))
			return
		}
	}
	st := s.state.source.Status()
	snapshot := st.Snapshot
	if snapshot == nil {
		snapshot = &envoy.Snapshot{}
	}
	dump := envoy.ConfigDump(snapshot, st.Applied)
	if field := q.Get("resource"); field != "" {
		selected, err := envoy.SelectResource(dump, field)
		if err != nil {
			plain(w, http.StatusNotFound)
			_, _ = io.WriteString(w, err.Error()+"\n")
			return
		}
		dump = selected
	} else if !q.Has("include_eds") {
		dump.Configs = slices.DeleteFunc(dump.Configs, func(c *anypb.Any) bool {
			return c.MessageIs((*adminv3.EndpointsConfigDump)(nil))
		})
	}
	s.writeJSON(w, func() ([]byte, error) { return envoy.MarshalDump(dump) })
}

// writeJSON writes what marshal returns, or 500 with its error.
func (s *Server) writeJSON(w http.ResponseWriter, marshal func() ([]byte, error)) {
	b, err := marshal()
	if err != nil {
		plain(w, http.StatusInternalServerError)
		_, _ = io.WriteString(w, err.Error()+"\n")
		return
	}
	jsonHead(w)
	_, _ = w.Write(b)
}

func (s *Server) listeners(w http.ResponseWriter, r *http.Request) {
	asJSON, ok := wantsJSON(w, r)
	if !ok {
		return
	}
	st := s.state.source.Status()
	if asJSON {
		out := &adminv3.Listeners{}
		for _, l := range st.Listeners {
			out.ListenerStatuses = append(out.ListenerStatuses, &adminv3.ListenerStatus{Name: l.Name, LocalAddress: address(l.Address)})
		}
		s.writeJSON(w, func() ([]byte, error) { return envoy.MarshalDump(out) })
		return
	}
	plain(w, http.StatusOK)
	for _, l := range st.Listeners {
		_, _ = fmt.Fprintf(w, "%s::%s\n", l.Name, l.Address)
	}
}

func address(ap netip.AddrPort) *core.Address {
	return &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: ap.Addr().String(), PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(ap.Port())},
	}}}
}

// serverInfo prints fields that are zero, too, as Envoy does here.
func (s *Server) serverInfo(w http.ResponseWriter, _ *http.Request) {
	st := s.state.source.Status()
	up := durationpb.New(time.Since(s.state.started).Truncate(time.Second))
	info := &adminv3.ServerInfo{
		Version: s.opt.Version, State: s.state.of(&st),
		UptimeCurrentEpoch: up, UptimeAllEpochs: up,
		HotRestartVersion: "disabled", CommandLineOptions: s.opt.CommandLine,
	}
	s.writeJSON(w, func() ([]byte, error) {
		raw, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(info)
		if err != nil {
			return nil, fmt.Errorf("writing the server info: %w", err)
		}
		var b bytes.Buffer
		if err := json.Indent(&b, raw, "", " "); err != nil {
			return nil, fmt.Errorf("writing the server info: %w", err)
		}
		b.WriteByte('\n')
		return b.Bytes(), nil
	})
}
