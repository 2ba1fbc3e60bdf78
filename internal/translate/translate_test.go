package translate_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/translate"
)

const examples = "../../examples"

// crossCluster is cluster A of the second scenario beside the services of the
// first, its one address made a real one.
func crossCluster(t testing.TB, mesh string) (*config.Set, translate.Options) {
	t.Helper()
	var files []config.File
	for _, name := range []string{"in-cluster/httpbin.yaml", "in-cluster/mirroring.yaml", "cross-cluster/cluster-a.yaml"} {
		data, err := os.ReadFile(filepath.Join(examples, name))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(data), "47.95.xx.xx", "192.0.2.7")
		files = append(files, config.File{Name: name, Data: []byte(text)})
	}
	var meshFile *config.File
	if mesh != "" {
		meshFile = &config.File{Name: "mesh.yaml", Data: []byte(mesh)}
	}
	set, problems := config.Parse(files, meshFile, config.Options{Endpoints: []string{
		"httpbin/v1=127.0.0.1:28001", "httpbin/v1-mirroring=127.0.0.1:28002",
	}})
	if config.HasErrors(problems) {
		t.Fatal(problemText(problems))
	}
	return set, translate.Options{
		Gateway: map[string]string{"istio": "ingressgateway"}, Outbound: "127.0.0.1:15001", ShadowHostSuffix: true,
	}
}

// TestArticleRoute wants every field of the article's own config dump in the
// gateway's route, given the article's retry policy, and Istio's default
// without it.
func TestArticleRoute(t *testing.T) {
	want := readJSON(t, filepath.Join(examples, "cross-cluster/expected-route.json"))
	t.Run("with the article's retry policy", func(t *testing.T) {
		got := gatewayRoute(t, `defaultHttpRetryPolicy:
  attempts: 2
  retryOn: connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,503
`)
		if diff := cmp.Diff(want, common(want, got)); diff != "" {
			t.Errorf("fields of the article that the route lacks (-want +got):\n%s", diff)
		}
	})
	t.Run("without", func(t *testing.T) {
		got := gatewayRoute(t, "")
		delete(want["route"].(map[string]any)["retry_policy"].(map[string]any), "retriable_status_codes")
		if diff := cmp.Diff(want, common(want, got)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		policy := got["route"].(map[string]any)["retry_policy"].(map[string]any)
		if codes, ok := policy["retriable_status_codes"]; ok {
			t.Errorf("Istio's default retries status codes %v", codes)
		}
	})
}

func gatewayRoute(t *testing.T, mesh string) map[string]any {
	t.Helper()
	set, opt := crossCluster(t, mesh)
	s, problems := translate.Translate(set, opt)
	if len(problems) > 0 {
		t.Errorf("problems:\n%s", problemText(problems))
	}
	i := slices.IndexFunc(s.Routes, func(r *route.RouteConfiguration) bool { return r.GetName() == "http.80" })
	if i < 0 {
		t.Fatal("no routes http.80")
	}
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(s.Routes[i].GetVirtualHosts()[0].GetRoutes()[0])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func readJSON(t *testing.T, file string) map[string]any {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// common cuts got down to the keys that want has. Numbers that protojson
// writes as strings, and the article as numbers, or the other way, stay apart.
func common(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return got
		}
		out := map[string]any{}
		for k, v := range w {
			if gv, ok := g[k]; ok {
				out[k] = common(v, gv)
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return got
		}
		out := make([]any, len(g))
		for i := range w {
			out[i] = common(w[i], g[i])
		}
		return out
	}
	return got
}

// TestOrderOfInputDoesNotMatter translates every golden case, and the larger
// set of the scenarios, with its lists shuffled.
func TestOrderOfInputDoesNotMatter(t *testing.T) {
	check := func(t *testing.T, set *config.Set, opt translate.Options) {
		first, problems := translate.Translate(set, opt)
		want, wantProblems := dump(t, first), problemText(problems)
		r := rand.New(rand.NewPCG(1, 2))
		for range 10 {
			s, problems := translate.Translate(shuffled(r, set), opt)
			if diff := cmp.Diff(want, dump(t, s)); diff != "" {
				t.Fatalf("another order gives another snapshot:\n%s", diff)
			}
			if s.Version() != first.Version() {
				t.Fatal("another order gives another version")
			}
			if diff := cmp.Diff(wantProblems, problemText(problems)); diff != "" {
				t.Fatalf("another order gives other problems:\n%s", diff)
			}
		}
	}
	t.Run("scenarios", func(t *testing.T) {
		set, opt := crossCluster(t, "")
		check(t, set, opt)
	})
	for _, file := range goldenFiles(t) {
		t.Run(caseName(file), func(t *testing.T) {
			c := readCase(t, file)
			check(t, c.set, c.options)
		})
	}
}

func dump(t testing.TB, s *envoy.Snapshot) string {
	t.Helper()
	data, err := envoy.MarshalDump(envoy.ConfigDump(s, epoch()))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func shuffled(r *rand.Rand, set *config.Set) *config.Set {
	out := *set
	out.VirtualServices = shuffle(r, set.VirtualServices)
	out.DestinationRules = shuffle(r, set.DestinationRules)
	out.Gateways = shuffle(r, set.Gateways)
	out.ServiceEntries = shuffle(r, set.ServiceEntries)
	out.WorkloadEntries = shuffle(r, set.WorkloadEntries)
	out.HTTPRoutes = shuffle(r, set.HTTPRoutes)
	out.KubeGateways = shuffle(r, set.KubeGateways)
	out.ReferenceGrants = shuffle(r, set.ReferenceGrants)
	out.ShadowPolicies = shuffle(r, set.ShadowPolicies)
	out.Services = shuffle(r, set.Services)
	out.Deployments = shuffle(r, set.Deployments)
	out.EndpointSlices = shuffle(r, set.EndpointSlices)
	out.Endpoints = shuffle(r, set.Endpoints)
	out.Pods = shuffle(r, set.Pods)
	out.Secrets = shuffle(r, set.Secrets)
	out.Overrides = shuffle(r, set.Overrides)
	return &out
}

func shuffle[T any](r *rand.Rand, in []T) []T {
	out := slices.Clone(in)
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// TestInputStays wants Translate to leave the set as it is.
func TestInputStays(t *testing.T) {
	text := func(set *config.Set) string {
		data, err := json.MarshalIndent(set, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, file := range goldenFiles(t) {
		c := readCase(t, file)
		before := text(c.set)
		c.translate()
		if diff := cmp.Diff(before, text(c.set)); diff != "" {
			t.Errorf("%s: translating changed the set:\n%s", caseName(file), diff)
		}
	}
}

// TestSnapshotsAreValid checks what Envoy's API says of its own messages.
func TestSnapshotsAreValid(t *testing.T) {
	for _, file := range goldenFiles(t) {
		c := readCase(t, file)
		s, problems := c.translate()
		if config.HasErrors(problems) {
			continue
		}
		var messages []proto.Message
		for _, m := range s.Routes {
			messages = append(messages, m)
		}
		for _, m := range s.Clusters {
			messages = append(messages, m)
		}
		for _, m := range s.Endpoints {
			messages = append(messages, m)
		}
		for _, m := range s.Listeners {
			messages = append(messages, m)
		}
		for _, m := range s.Secrets {
			messages = append(messages, m)
		}
		for _, m := range messages {
			validate(t, caseName(file), m)
		}
	}
}

// validate checks a message and all that stands inside an Any in it.
func validate(t *testing.T, name string, m proto.Message) {
	t.Helper()
	v, ok := m.(interface{ ValidateAll() error })
	if !ok {
		t.Errorf("%s: %T cannot be validated", name, m)
		return
	}
	if err := v.ValidateAll(); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	err := protorange.Range(m.ProtoReflect(), func(values protopath.Values) error {
		inner, ok := values.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if packed, ok := inner.Interface().(*anypb.Any); ok {
			message, err := packed.UnmarshalNew()
			if err != nil {
				return err
			}
			validate(t, name, message)
			return protorange.Break
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// TestListenersOfAMeshAndAGateway wants the names of listeners to be unique
// when one process is both.
func TestListenersOfAMeshAndAGateway(t *testing.T) {
	set, opt := crossCluster(t, "")
	opt.Publish = []translate.Publish{{Port: 8080, GatewayPort: 80}}
	s, _ := translate.Translate(set, opt)
	var names []string
	for _, l := range s.Listeners {
		names = append(names, l.GetName())
	}
	want := []string{"0.0.0.0_80", "0.0.0.0_8000", "mesh_0.0.0.0_80", "virtualOutbound"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
	if got := s.Listeners[0].GetAddress().GetSocketAddress().GetPortValue(); got != 8080 {
		t.Errorf("the gateway's port 80 is bound at %d, not where it is published", got)
	}
}

func TestOutboundMustBeAnAddress(t *testing.T) {
	s, problems := translate.Translate(&config.Set{}, translate.Options{Outbound: "localhost"})
	want := "-: error: --outbound localhost: is not an IP address and a port; write it as 127.0.0.1:15001\n"
	if diff := cmp.Diff(want, problemText(problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if len(s.Listeners) > 0 {
		t.Errorf("there are listeners: %v", s.Listeners)
	}
}
