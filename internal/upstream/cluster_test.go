package upstream_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/sundog-mesh/sundog/internal/upstream"
)

func unmarshal(t testing.TB, text string, into proto.Message) {
	t.Helper()
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = protojson.Unmarshal(raw, into)
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

func clusterProto(t testing.TB, text string) *clusterv3.Cluster {
	t.Helper()
	c := &clusterv3.Cluster{}
	unmarshal(t, text, c)
	return c
}

// compile compiles a cluster from YAML.
func compile(t testing.TB, slots *upstream.Slots, old *upstream.Cluster, text string) *upstream.Cluster {
	t.Helper()
	c, err := upstream.Compile(clusterProto(t, text), nil, old, slots, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// static is a STATIC cluster "c" with the endpoints, each "address" or
// "address weight".
func static(endpoints ...string) string {
	var b strings.Builder
	b.WriteString("name: c\nload_assignment:\n  endpoints:\n  - lb_endpoints:\n")
	for _, e := range endpoints {
		addr, weight, _ := strings.Cut(e, " ")
		ap := netip.MustParseAddrPort(addr)
		b.WriteString("    - {endpoint: {address: {socket_address: {address: '" + ap.Addr().String() + "', port_value: " + addr[strings.LastIndexByte(addr, ':')+1:] + "}}}")
		if weight != "" {
			b.WriteString(", load_balancing_weight: " + weight)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// addrs lists the cluster's addresses.
func addrs(c *upstream.Cluster) []string {
	var all []string
	for _, e := range c.Endpoints().All {
		all = append(all, e.Addr.String())
	}
	return all
}

func TestCompileDefaults(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, "name: c")
	if c.StatName != "c" || c.ConnectTimeout != 5*time.Second || c.IdleTimeout != time.Hour || c.Protocol != upstream.HTTP1 ||
		c.Policy != upstream.RoundRobin || c.Type != upstream.Static || len(c.Ignored) != 0 || !c.Warm() {
		t.Errorf("%+v", c)
	}
	if want := (upstream.Limits{Connections: 1024, PendingRequests: 1024, Requests: 1024, Retries: 3}); c.Limits != want {
		t.Errorf("limits %+v, want %+v", c.Limits, want)
	}
	if set := c.Endpoints(); len(set.All) != 0 || set.Len() != 0 {
		t.Errorf("endpoints %v", set.All)
	}
}

func TestCompileFields(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, `
name: outbound|80||a
alt_stat_name: short
connect_timeout: 10s
lb_policy: LEAST_REQUEST
least_request_lb_config: {choice_count: 3}
max_requests_per_connection: 5
outlier_detection: {}
transport_socket: {name: raw, typed_config: {'@type': type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer}}
transport_socket_matches: []
circuit_breakers:
  thresholds:
  - {priority: HIGH, max_connections: 1}
  - {max_connections: 7, max_pending_requests: 8, max_requests: 4294967295, max_retries: 9}
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    '@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    common_http_protocol_options: {idle_timeout: 30s}
    explicit_http_config: {http2_protocol_options: {}}
`)
	if c.StatName != "short" || c.ConnectTimeout != 10*time.Second || c.IdleTimeout != 30*time.Second || c.Protocol != upstream.HTTP2 ||
		c.Policy != upstream.LeastRequest || c.MaxRequestsPerConnection != 5 {
		t.Errorf("%+v", c)
	}
	if want := (upstream.Limits{Connections: 7, PendingRequests: 8, Requests: 4294967295, Retries: 9}); c.Limits != want {
		t.Errorf("limits %+v, want %+v", c.Limits, want)
	}
	if diff := cmp.Diff([]string{"circuit_breakers.thresholds[0] (of priority HIGH)"}, c.Ignored); diff != "" {
		t.Error(diff)
	}
}

func TestCompileErrors(t *testing.T) {
	const dnsEndpoint = "{endpoint: {address: {socket_address: {address: a.com, port_value: 80}}}}"
	for _, test := range []struct{ name, yaml, want string }{
		{"tls", "transport_socket: {name: envoy.transport_sockets.tls}", `cluster "c": transport_socket: envoy.transport_sockets.tls is not supported`},
		{"tls match", "transport_socket_matches: [{name: a, transport_socket: {name: tls}}]", "transport_socket_matches[0]: TLS"},
		{"policy of another field", "lb_policy: LOAD_BALANCING_POLICY_CONFIG", "lb_policy: LOAD_BALANCING_POLICY_CONFIG is not supported; use LEAST_REQUEST"},
		{"extension policy", "load_balancing_policy: {}", "load_balancing_policy: is not supported"},
		{"subsets", "lb_subset_config: {}", "lb_subset_config: is not supported"},
		{"custom type", "cluster_type: {name: x}", "cluster_type: x is not supported"},
		{"connect timeout", "connect_timeout: 0s", "connect_timeout: must be above 0"},
		{"choices", "lb_policy: LEAST_REQUEST\nleast_request_lb_config: {choice_count: 1}", "choice_count: must be 2"},
		{"name in a static cluster", "load_assignment: {endpoints: [{lb_endpoints: [" + dnsEndpoint + "]}]}", `endpoints[0].lb_endpoints[0].endpoint.address: "a.com" is not an IP address`},
		{"two logical names", "type: LOGICAL_DNS\nload_assignment: {endpoints: [{lb_endpoints: [" + dnsEndpoint + ", " + dnsEndpoint + "]}]}", "exactly one endpoint, not 2"},
		{"pipe", "load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: /a}}}}]}]}", "only a socket_address"},
		{"port", "load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 1.2.3.4, port_value: 0}}}}]}]}", "a number from 1 to 65535"},
		{"endpoints of an original destination", "type: ORIGINAL_DST\nload_assignment: {}", "no endpoints of its own"},
		{"provided", "lb_policy: CLUSTER_PROVIDED", "ORIGINAL_DST only"},
		{"auto without TLS", "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, auto_config: {}}}", "auto_config: needs a transport_socket with TLS"},
		{"auto with HTTP/3", "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, auto_config: {http3_protocol_options: {}}}}", "HTTP/3 is not supported"},
		{"mirrors", "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, request_mirror_policies: [{cluster: a}], auto_config: {}}}", "request_mirror_policies: is not supported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			slots := upstream.NewSlots(nil)
			_, err := upstream.Compile(clusterProto(t, "name: c\n"+test.yaml), nil, nil, slots, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
			if slots.Len() != 0 {
				t.Errorf("a failed compilation took %d slots", slots.Len())
			}
		})
	}
}

func TestOriginalDst(t *testing.T) {
	c := compile(t, upstream.NewSlots(nil), nil, "name: PassthroughCluster\ntype: ORIGINAL_DST\nlb_policy: CLUSTER_PROVIDED\noriginal_dst_lb_config: {use_http_header: true}")
	if c.Type != upstream.OriginalDst || !c.OriginalDstHeader || c.Endpoints().Len() != 0 {
		t.Errorf("%+v", c)
	}
}

// Endpoints come from the assignment, the first of two equal addresses
// counts, and only the lowest priority that has a ready one takes requests.
func TestAssignment(t *testing.T) {
	la := &endpointv3.ClusterLoadAssignment{}
	unmarshal(t, `
cluster_name: c
endpoints:
- lb_endpoints:
  - {endpoint: {address: {socket_address: {address: 10.0.0.1, port_value: 80}}}, health_status: UNHEALTHY}
- priority: 1
  lb_endpoints:
  - {endpoint: {address: {socket_address: {address: 10.0.0.2, port_value: 80}}, hostname: two}, load_balancing_weight: 3}
  - {endpoint: {address: {socket_address: {address: '::ffff:10.0.0.2', port_value: 80}}}}
  - {endpoint: {address: {socket_address: {address: 10.0.0.3, port_value: 80}}}, health_status: DEGRADED}
- priority: 2
  lb_endpoints:
  - {endpoint: {address: {socket_address: {address: '::1', port_value: 80}}}}
`, la)
	in := clusterProto(t, "name: c\ntype: EDS\neds_cluster_config: {}")
	slots := upstream.NewSlots(nil)
	c, err := upstream.Compile(in, la, nil, slots, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "[::1]:80"}, addrs(c)); diff != "" {
		t.Error(diff)
	}
	two := c.Endpoints().All[1]
	if two.Addr != netip.MustParseAddrPort("10.0.0.2:80") || two.Hostname != "two" || two.Weight != 3 || !two.Ready {
		t.Errorf("%+v", two)
	}
	if n := c.Endpoints().Len(); n != 2 {
		t.Errorf("%d take requests, want 2", n)
	}
	if c, err := upstream.Compile(in, nil, c, slots, nil); err != nil || len(c.Endpoints().All) != 0 {
		t.Errorf("without an assignment: %v", err)
	}
}

// An endpoint that has not changed is the same one after a reload; a slot
// goes when the last cluster that has it is released.
func TestReload(t *testing.T) {
	var retired []int
	slots := upstream.NewSlots(func(slot int) { retired = append(retired, slot) })
	one := compile(t, slots, nil, static("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80 1"))
	two := compile(t, slots, one, static("10.0.0.2:80", "10.0.0.3:80 5", "10.0.0.4:80"))

	a, b := one.Endpoints().All, two.Endpoints().All
	if a[1] != b[0] {
		t.Error("an unchanged endpoint is another one now")
	}
	if a[2] == b[1] || a[2].Slot != b[1].Slot || b[1].Weight != 5 {
		t.Errorf("a changed weight: %+v, then %+v", a[2], b[1])
	}
	if len(retired) > 0 {
		t.Errorf("retired %v while the old cluster is in use", retired)
	}
	one.Release()
	if diff := cmp.Diff([]int{a[0].Slot}, retired); diff != "" {
		t.Error(diff)
	}

	// Not given back yet: a new address, even the same, has a slot of its own.
	three := compile(t, slots, two, static("10.0.0.1:80"))
	if got := three.Endpoints().All[0].Slot; got != 4 {
		t.Errorf("slot %d while the old one retires, want 4", got)
	}
	slots.Free(retired[0])
	four := compile(t, slots, three, static("10.0.0.9:80"))
	if got := four.Endpoints().All[0].Slot; got != a[0].Slot {
		t.Errorf("slot %d, want the free one %d", got, a[0].Slot)
	}
	if slots.Len() != 5 {
		t.Errorf("Len is %d, want 5", slots.Len())
	}
}

// The same address in two clusters is two endpoints.
func TestSlotsPerCluster(t *testing.T) {
	slots := upstream.NewSlots(nil)
	one := compile(t, slots, nil, static("10.0.0.1:80"))
	two := compile(t, slots, nil, strings.Replace(static("10.0.0.1:80"), "name: c", "name: d", 1))
	if one.Endpoints().All[0].Slot == two.Endpoints().All[0].Slot {
		t.Error("one slot for two clusters")
	}
	one.Release()
	two.Release()
	// Without a callback slots are free at once.
	three := compile(t, slots, nil, static("10.0.0.2:80", "10.0.0.3:80"))
	if slots.Len() != 2 {
		t.Errorf("Len is %d after %v", slots.Len(), addrs(three))
	}
}
