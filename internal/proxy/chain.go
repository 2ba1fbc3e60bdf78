package proxy

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// chain is a filter chain: what serves the connections that it matches.
type chain struct {
	match chainMatch
	tls   *tlsconn.Server // nil: plain text
	http  *httpConfig
}

// chainMatch is Envoy's FilterChainMatch, as far as it looks at the ClientHello.
type chainMatch struct {
	servers   []string // exact names, and "*.example.com"; none: any
	transport string   // "tls", "raw_buffer"; empty: any
	alpn      []string // none: any
}

func compileChain(fc *listenerv3.FilterChain, secrets tlsconn.Secrets) (*chain, error) {
	m := fc.GetFilterChainMatch()
	ch := &chain{match: chainMatch{transport: m.GetTransportProtocol(), alpn: m.GetApplicationProtocols()}}
	for _, name := range m.GetServerNames() {
		ch.match.servers = append(ch.match.servers, strings.ToLower(name))
	}
	var errs []error
	if m.GetDestinationPort() != nil || len(m.GetPrefixRanges()) > 0 || m.GetAddressSuffix() != "" ||
		len(m.GetSourcePrefixRanges()) > 0 || len(m.GetSourcePorts()) > 0 || m.GetSourceType() != listenerv3.FilterChainMatch_ANY {
		errs = append(errs, errors.New("filter_chain_match: only server_names, transport_protocol and application_protocols are supported"))
	}
	if ts := fc.GetTransportSocket(); ts != nil {
		ctx := &tlsv3.DownstreamTlsContext{}
		err := ts.GetTypedConfig().UnmarshalTo(ctx)
		if err == nil {
			ch.tls, err = tlsconn.CompileServer(ctx, secrets)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("transport_socket: %w", err))
		}
	}
	for _, f := range fc.GetFilters() {
		m := &hcmv3.HttpConnectionManager{}
		if err := f.GetTypedConfig().UnmarshalTo(m); err != nil {
			errs = append(errs, fmt.Errorf("filter %q: not an HTTP connection manager: %w", f.GetName(), err))
			continue
		}
		http, err := compileHTTP(m)
		if err != nil {
			errs = append(errs, err)
		}
		ch.http = http
	}
	return ch, errors.Join(errs...)
}

// all are the chains of the listener, the default one last.
func (c *listenerConfig) all() iter.Seq[*chain] {
	return func(yield func(*chain) bool) {
		for _, ch := range c.chains {
			if !yield(ch) {
				return
			}
		}
		if c.otherwise != nil {
			yield(c.otherwise)
		}
	}
}

// inherit takes over what lets the clients of old resume their sessions.
func (c *listenerConfig) inherit(old *listenerConfig) {
	if old == nil {
		return
	}
	for ch := range c.all() {
		for before := range old.all() {
			if ch.tls != nil && before.tls != nil && ch.tls.Inherit(before.tls) {
				break
			}
		}
	}
}

func (m *chainMatch) needsHello() bool {
	return len(m.servers) > 0 || m.transport != "" || len(m.alpn) > 0
}

// find is the chain for a connection that began with the hello: the most
// specific server name decides, then the transport protocol, then the
// application protocol, as Envoy's FilterChainMatch has it. Nil: none.
func (c *listenerConfig) find(hello *tlsconn.Hello) *chain {
	var best *chain
	score := -1
	for _, ch := range c.chains {
		if n := ch.match.score(hello); n > score {
			best, score = ch, n
		}
	}
	if best == nil {
		return c.otherwise
	}
	return best
}

// score is how specific the match is for the hello, -1 if it does not match.
func (m *chainMatch) score(hello *tlsconn.Hello) int {
	n := 0
	if len(m.servers) > 0 {
		longest := -1
		for _, pattern := range m.servers {
			longest = max(longest, serverScore(pattern, hello.ServerName))
		}
		if longest < 0 {
			return -1
		}
		n += longest * 4
	}
	switch {
	case m.transport == "":
	case (m.transport == "tls") == hello.TLS:
		n += 2
	default:
		return -1
	}
	if len(m.alpn) > 0 {
		if !slices.ContainsFunc(hello.ALPN, func(p string) bool { return slices.Contains(m.alpn, p) }) {
			return -1
		}
		n++
	}
	return n
}

// serverScore is how much of the name the pattern says; -1 if it is another.
func serverScore(pattern, name string) int {
	if pattern == name && name != "" {
		return 2*len(name) + 1
	}
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok && strings.HasPrefix(suffix, ".") && strings.HasSuffix(name, suffix) {
		return 2 * len(suffix)
	}
	return -1
}
