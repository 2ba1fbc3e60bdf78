package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config"
	meshconfig "istio.io/api/mesh/v1alpha1"
)

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.yml", "a.yaml", "c.json", "notes.txt", ".hidden.yaml", "sub/d.yaml"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("# "+name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, problems := config.Read([]string{"-", dir, filepath.Join(dir, "a.yaml"), filepath.Join(dir, "notes.txt")}, strings.NewReader("# in"))
	if len(problems) > 0 {
		t.Errorf("Problems: %s", list(problems))
	}
	var got []string
	for _, f := range files {
		name, err := filepath.Rel(dir, f.Name)
		if err != nil {
			name = f.Name
		}
		got = append(got, name+" "+string(f.Data))
	}
	want := []string{"stdin # in", "a.yaml # a.yaml", "b.yml # b.yml", "c.json # c.json", "notes.txt # notes.txt"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestReadProblems(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing.yaml")
	set, problems := config.Load([]string{missing, dir, "-"}, iotest.ErrReader(errors.New("broken pipe")), config.Options{MeshConfig: missing})
	want := missing + ": error: no such file or folder; check the path; relative paths start at the working directory\n" +
		dir + ": error: the folder has no *.yaml, *.yml or *.json file; folders inside it are not read: name them with an -f of their own\n" +
		"stdin: error: cannot be read: broken pipe\n" +
		missing + ": error: no such file or folder; check the path; relative paths start at the working directory\n"
	if diff := cmp.Diff(want, list(problems)); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
	if set == nil || set.Mesh == nil {
		t.Error("no Set beside the Problems")
	}
}

func TestExamples(t *testing.T) {
	set, problems := config.Load([]string{"../../examples/in-cluster"}, nil, config.Options{Namespace: "web"})
	if len(problems) > 0 {
		t.Errorf("Problems in in-cluster:\n%s", list(problems))
	}
	v := set.VirtualServices[0]
	if v.String() != "VirtualService web/httpbin-traffic-mirroring" || v.Spec.Http[0].Mirror.Subset != "v1-mirroring" || v.Spec.Http[0].MirrorPercentage.Value != 50 {
		t.Errorf("read %s: %v", v, v.Spec)
	}
	if len(set.Services) != 2 || len(set.Deployments) != 3 || len(set.DestinationRules) != 1 || set.Services[0].Spec.Spec.Ports[0].TargetPort.IntVal != 80 {
		t.Errorf("read services %v, deployments %v", set.Services, set.Deployments)
	}

	_, problems = config.Load([]string{"../../examples/cross-cluster/cluster-a.yaml"}, nil, config.Options{})
	want := `../../examples/cross-cluster/cluster-a.yaml:16: error: ServiceEntry default/httpbin-cluster-b: spec.endpoints[0].address: ` +
		`"47.95.xx.xx" is not an IP address; replace it by the real address, for another cluster that of its ingress gateway, like 203.0.113.7` + "\n"
	if diff := cmp.Diff(want, list(problems)); diff != "" {
		t.Errorf("Problems in cluster-a.yaml (-want +got):\n%s", diff)
	}
	if _, problems = config.Load([]string{"../../examples/cross-cluster/cluster-b.yaml"}, nil, config.Options{}); len(problems) > 0 {
		t.Errorf("Problems in cluster-b.yaml:\n%s", list(problems))
	}
}

func TestKubectlGet(t *testing.T) {
	set, _ := config.Load([]string{"testdata/good/kubectl-get.yaml"}, nil, config.Options{})
	if got, want := set.Services[0].Created, time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("created %v, want %v", got, want)
	}
	if got := set.Pods[0].Spec.Status.PodIP; got != "10.244.0.7" {
		t.Errorf("pod IP %q", got)
	}
	if got := set.EndpointSlices[0].Spec.Endpoints[0]; got.Addresses[0] != "10.244.0.7" || !*got.Conditions.Ready {
		t.Errorf("endpoint %v", got)
	}
	if got := set.WorkloadEntries[0].Spec.Ports["http"]; got != 8080 {
		t.Errorf("port of the workload entry %d", got)
	}
}

func TestJSONStream(t *testing.T) {
	set, _ := config.Load([]string{"testdata/good/stream.json"}, nil, config.Options{})
	g := set.Gateways[0]
	if want := "😀 / é \\ud83d"; g.Annotations["smile"] != want {
		t.Errorf("annotation %q, want %q", g.Annotations["smile"], want)
	}
	if g.APIVersion != "networking.istio.io/v1" || g.Kind != "Gateway" || len(g.Spec.Servers) != 2 {
		t.Errorf("read %+v", g)
	}
	if got := g.Source.At("spec.servers[1].tls.mode").Line; got != 14 {
		t.Errorf("tls.mode is on line %d", got)
	}
}

func TestMeshConfig(t *testing.T) {
	set, problems := config.Load(nil, nil, config.Options{MeshConfig: "testdata/mesh/bare.yaml"})
	if len(problems) > 0 {
		t.Errorf("Problems: %s", list(problems))
	}
	m := set.Mesh
	if m.AccessLogFile != "/dev/stdout" || m.AccessLogEncoding != meshconfig.MeshConfig_JSON || m.RootNamespace != "istio-system" ||
		m.ConnectTimeout.AsDuration() != 5*time.Second || m.DefaultHttpRetryPolicy.Attempts != 2 ||
		m.OutboundTrafficPolicy.GetMode() != meshconfig.MeshConfig_OutboundTrafficPolicy_ALLOW_ANY {
		t.Errorf("read %v", m)
	}
	set, _ = config.Load(nil, nil, config.Options{})
	if m := set.Mesh; m.OutboundTrafficPolicy != nil || m.DefaultHttpRetryPolicy != nil || m.ConnectTimeout.AsDuration() != 10*time.Second {
		t.Errorf("defaults %v", m)
	}
}

func TestMeshConfigProblems(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not a mesh config": {"apiVersion: v1\nkind: Secret\n", "mesh.yaml: error: the file has no mesh configuration; it takes Istio's MeshConfig, bare or as data.mesh of the ConfigMap istio\n"},
		"no mesh in it":     {"kind: ConfigMap\nmetadata: {name: istio}\ndata: {}\n", "mesh.yaml:3: error: ConfigMap istio: data.mesh: is missing; Istio keeps its MeshConfig there, as text\n"},
		"empty":             {"kind: ConfigMap\nmetadata: {name: istio}\ndata: {mesh: \"\"}\n", ""},
		"not text":          {"kind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh:\n    accessLogFile: a\n", "mesh.yaml:4: error: ConfigMap istio: data.mesh: must be a string, not a mapping; write \"mesh: |-\" and indent the lines below\n"},
		"twice":             {"accessLogFile: a\n---\naccessLogFile: b\n", "mesh.yaml:3: error: MeshConfig: the file has a second mesh configuration; keep one\n"},
		"broken inside":     {"kind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n    a: b\n    c: d: e\n", "mesh.yaml:6: error: ConfigMap istio: data.mesh: this is not valid YAML: mapping values are not allowed in this context; check the indentation, and put a value that contains \": \" in quotes\n"},
		"a list":            {"- a\n", "mesh.yaml:1: error: MeshConfig: must be a mapping, not a list; leave the \"- \" out: there is only one\n"},
	} {
		t.Run(name, func(t *testing.T) {
			set, problems := config.Parse(nil, &config.File{Name: "mesh.yaml", Data: []byte(c.text)}, config.Options{})
			if diff := cmp.Diff(c.want, list(problems)); diff != "" {
				t.Errorf("Problems (-want +got):\n%s", diff)
			}
			if set.Mesh == nil {
				t.Error("no mesh configuration")
			}
		})
	}
	_, problems := config.Load(nil, nil, config.Options{MeshConfig: "testdata/mesh/configmap.yaml"})
	want := `testdata/mesh/configmap.yaml:11: error: ConfigMap istio (data.mesh): accessLogFiles: unknown field; did you mean "accessLogFile"?
testdata/mesh/configmap.yaml:14: error: ConfigMap istio (data.mesh): defaultHttpRetryPolicy.retryOn: "sometimes" is not a valid retryOn policy; ` +
		`it takes HTTP status numbers and 5xx, gateway-error, reset, reset-before-request, connect-failure, envoy-ratelimited, retriable-4xx, refused-stream, ` +
		`retriable-status-codes, retriable-headers, http3-post-connect-failure, cancelled, deadline-exceeded, internal, resource-exhausted, unavailable
testdata/mesh/configmap.yaml:15: error: ConfigMap istio (data.mesh): connectTimeout: a duration must be at least 1ms; this is 0s
`
	if diff := cmp.Diff(want, list(problems)); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
}

func TestEndpoints(t *testing.T) {
	set, problems := config.Parse(nil, nil, config.Options{Endpoints: []string{
		"httpbin/v1=127.0.0.1:28001", "httpbin:8000/v1=127.0.0.1:28002", "httpbin.other.svc.cluster.local=[::1]:80",
		"httpbin", "httpbin=localhost:80", "httpbin=127.0.0.1", "httpbin=127.0.0.1:0", "httpbin:http=127.0.0.1:80", "httpbin/v_1=127.0.0.1:80", "=127.0.0.1:80",
	}})
	got := ""
	for _, o := range set.Overrides {
		got += strings.TrimSpace(strings.Join([]string{o.Host, o.Subset, o.Addr.String()}, " ")) + "\n"
	}
	if want := "httpbin v1 127.0.0.1:28001\nhttpbin v1 127.0.0.1:28002\nhttpbin.other.svc.cluster.local  [::1]:80\n"; got != want || set.Overrides[1].Port != 8000 || set.Overrides[0].Port != 0 {
		t.Errorf("overrides %v", set.Overrides)
	}
	hint := "; write HOST[:PORT][/SUBSET]=IP:PORT, like httpbin/v1=127.0.0.1:28001 or httpbin:8000=127.0.0.1:28001\n"
	want := `--endpoint: error: "httpbin": there is no = between the service and its address` + hint +
		`--endpoint: error: "httpbin=localhost:80": "localhost:80" is not an IP address and a port` + hint +
		`--endpoint: error: "httpbin=127.0.0.1": the address 127.0.0.1 has no port` + hint +
		`--endpoint: error: "httpbin=127.0.0.1:0": port 0 of the address is out of range; ports are 1 to 65535` + hint +
		`--endpoint: error: "httpbin:http=127.0.0.1:80": "http" is not a port; ports are 1 to 65535` + hint +
		`--endpoint: error: "httpbin/v_1=127.0.0.1:80": "v_1" is not a subset name` + hint +
		`--endpoint: error: "=127.0.0.1:80": the host is empty` + hint
	if diff := cmp.Diff(want, list(problems)); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
}
