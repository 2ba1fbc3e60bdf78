package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Compile compiles rc. cluster gives a cluster's index by its name, or false
// when there is none: the route then has Cluster -1, and so has a mirror.
//
// A field that would change what happens to requests, and that is not
// supported, is an error. The errors are joined; each names the route
// configuration, virtual host, route and field.
func Compile(rc *routev3.RouteConfiguration, cluster func(name string) (int, bool)) (*Table, error) {
	return Recompile(rc, cluster, nil)
}

// compile takes from the virtual hosts that are known what it can.
func compile(rc *routev3.RouteConfiguration, cluster func(string) (int, bool), known map[*routev3.VirtualHost]*VirtualHost) (*Table, error) {
	t := &Table{
		Name:         rc.GetName(),
		config:       rc,
		ignorePort:   rc.GetIgnorePortInHostMatching(),
		ignoreParams: rc.GetIgnorePathParametersInPathMatching(),
		specificLast: rc.GetMostSpecificHeaderMutationsWins(),
		joined:       sync.Pool{New: func() any { return new([]byte) }},
	}
	c := &compiler{table: t, config: rc, cluster: cluster, errs: new([]error), where: fmt.Sprintf("route configuration %q", rc.GetName())}
	c.only(rc, "name", "virtual_hosts", "validate_clusters", "max_direct_response_body_size_bytes", "metadata",
		"internal_only_headers", "request_headers_to_add", "request_headers_to_remove", "response_headers_to_add",
		"response_headers_to_remove", "most_specific_header_mutations_wins", "request_mirror_policies",
		"ignore_port_in_host_matching", "ignore_path_parameters_in_path_matching", "typed_per_filter_config")
	if len(rc.GetInternalOnlyHeaders()) > 0 {
		c.fail("internal_only_headers", "is not supported")
	}
	t.request = c.headerOps("request_headers", rc.GetRequestHeadersToAdd(), rc.GetRequestHeadersToRemove())
	t.answer = c.headerOps("response_headers", rc.GetResponseHeadersToAdd(), rc.GetResponseHeadersToRemove())
	for _, vh := range rc.GetVirtualHosts() {
		var v *VirtualHost
		if known[vh] != nil {
			v = c.again(known[vh])
		}
		if v == nil {
			v = c.virtualHost(vh)
		}
		t.hosts = append(t.hosts, v)
	}
	c.domains()
	if len(*c.errs) > 0 {
		return nil, errors.Join(*c.errs...)
	}
	return t, nil
}

// compiler compiles one route configuration, and a copy of it with another
// where compiles a part. All share the errors.
type compiler struct {
	table   *Table
	config  *routev3.RouteConfiguration
	host    *routev3.VirtualHost
	cluster func(string) (int, bool)
	where   string // names the part that is compiled now
	errs    *[]error
}

func (c *compiler) fail(field, format string, args ...any) {
	*c.errs = append(*c.errs, fmt.Errorf("%s: %s: %s", c.where, field, fmt.Sprintf(format, args...)))
}

func (c *compiler) failErr(field string, err error) { c.fail(field, "%v", err) }

// in is c with its errors placed in a part of what it compiles now.
func (c *compiler) in(part string) *compiler {
	d := *c
	d.where += ": " + part
	return &d
}

// only refuses every field of m that is set and not named.
func (c *compiler) only(m proto.Message, names ...string) {
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !slices.Contains(names, string(f.Name())) {
			c.fail(string(f.Name()), "is not supported")
		}
		return true
	})
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		c.fail(string(m.ProtoReflect().Descriptor().Name()), "has a field that this version does not know")
	}
}

func (c *compiler) virtualHost(vh *routev3.VirtualHost) *VirtualHost {
	c = c.in(fmt.Sprintf("virtual host %q", vh.GetName()))
	c.host = vh
	c.only(vh, "name", "domains", "routes", "require_tls", "virtual_clusters", "rate_limits", "metadata",
		"request_headers_to_add", "request_headers_to_remove", "response_headers_to_add", "response_headers_to_remove",
		"typed_per_filter_config", "include_request_attempt_count", "include_attempt_count_in_response", "retry_policy",
		"include_is_timeout_retry_header", "per_request_buffer_limit_bytes", "request_body_buffer_limit",
		"request_mirror_policies")
	v := &VirtualHost{
		Name:                 vh.GetName(),
		RequestAttemptCount:  vh.GetIncludeRequestAttemptCount(),
		ResponseAttemptCount: vh.GetIncludeAttemptCountInResponse(),
		TimeoutRetryHeader:   vh.GetIncludeIsTimeoutRetryHeader(),
		table:                c.table,
		request:              c.headerOps("request_headers", vh.GetRequestHeadersToAdd(), vh.GetRequestHeadersToRemove()),
		answer:               c.headerOps("response_headers", vh.GetResponseHeadersToAdd(), vh.GetResponseHeadersToRemove()),
	}
	if tls := vh.GetRequireTls(); tls != routev3.VirtualHost_NONE {
		v.tlsExternal = tls == routev3.VirtualHost_EXTERNAL_ONLY
		v.toTLS = &Route{
			Key: v.Name + "/require_tls", VirtualHost: v,
			Redirect: &Redirect{Status: 301, scheme: "https"},
		}
	}
	x := newIndexer()
	keys := map[string]int{}
	for i, in := range vh.GetRoutes() {
		r, literal := c.route(in, i)
		r.VirtualHost = v
		r.Key = v.Name + "/" + r.Key
		if keys[r.Key]++; keys[r.Key] > 1 {
			r.Key = fmt.Sprintf("%s #%d", r.Key, keys[r.Key])
		}
		v.routes = append(v.routes, r)
		x.add(int32(i), &r.match.path, literal)
	}
	v.index = x.index()
	return v
}

// indexer gathers the routes of a virtual host by path.
type indexer struct{ exact, prefixes, foldExact, foldPrefixes map[string][]int32 }

func newIndexer() *indexer {
	return &indexer{map[string][]int32{}, map[string][]int32{}, map[string][]int32{}, map[string][]int32{}}
}

// add files route i. literal is how every path begins that its regex matches.
func (x *indexer) add(i int32, m *pathMatcher, literal string) {
	text, exact, prefixes := m.text, x.exact, x.prefixes
	if m.fold {
		exact, prefixes = x.foldExact, x.foldPrefixes
	}
	switch m.kind {
	case pathExact:
		exact[text] = append(exact[text], i)
	case pathPrefix, pathSeparated:
		prefixes[text] = append(prefixes[text], i)
	case pathRegex:
		prefixes[literal] = append(prefixes[literal], i)
	}
}

func (x *indexer) index() pathIndex {
	return pathIndex{newHashIndex(x.exact), newTrie(x.prefixes), newHashIndex(x.foldExact), newTrie(x.foldPrefixes)}
}

// domains indexes the virtual hosts.
func (c *compiler) domains() {
	t := c.table
	exact, suffixes, prefixes := map[string][]int32{}, map[string][]int32{}, map[string][]int32{}
	for i, vh := range c.config.GetVirtualHosts() {
		c := c.in(fmt.Sprintf("virtual host %q", vh.GetName()))
		if len(vh.GetDomains()) == 0 {
			c.fail("domains", "is empty")
		}
		for _, domain := range vh.GetDomains() {
			d := lower(domain)
			put := func(m map[string][]int32, key string) {
				if m[key] != nil {
					c.fail("domains", "%q is there twice", domain)
				}
				m[key] = []int32{int32(i)}
			}
			switch {
			case d == "" || len(d) > maxHost-1:
				c.fail("domains", "%q: a domain has from 1 to %d bytes", domain, maxHost-1)
			case d == "*":
				if t.any != nil {
					c.fail("domains", "%q is there twice", domain)
				}
				t.any = t.hosts[i]
			case strings.Contains(strings.Trim(d, "*"), "*") || strings.Count(d, "*") > 1:
				c.fail("domains", "%q: one asterisk may stand at the start or at the end", domain)
			case d[0] == '*':
				put(suffixes, reversed(d[1:]))
			case d[len(d)-1] == '*':
				put(prefixes, d[:len(d)-1])
			default:
				put(exact, d)
			}
		}
	}
	t.exact, t.suffixes, t.prefixes = newHashIndex(exact), newTrie(suffixes), newTrie(prefixes)
}

func reversed(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}
