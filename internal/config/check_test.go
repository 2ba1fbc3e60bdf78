package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sundog-mesh/sundog/internal/config"
)

// service is a Service whose spec has one line that varies.
func service(line string) config.File {
	return inline("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  ports: [{port: 80}]\n  " + line + "\n")
}

// route is a VirtualService whose only route has one line that varies.
func route(line string) config.File {
	return inline("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n" +
		"  - route: [{destination: {host: a}}]\n    " + line + "\n")
}

// What kubectl and the API server take and refuse in scalars, and Sundog too.
func TestScalars(t *testing.T) {
	for _, c := range []struct {
		file config.File
		want string // "": fine
	}{
		{service("healthCheckNodePort: 0x10"), ""},
		{service("healthCheckNodePort: 30_000"), ""},
		{service("healthCheckNodePort: 1e3"), ""},
		{service("healthCheckNodePort: 1.0"), ""},
		{service(`healthCheckNodePort: "1"`), `must be a whole number, not the string "1"`},
		{service("healthCheckNodePort: 2147483648"), "2147483648 is out of range; it must be between -2147483648 and 2147483647"},
		{service("healthCheckNodePort: -2147483649"), "-2147483649 is out of range; it must be between -2147483648 and 2147483647"},
		{service("healthCheckNodePort: 99999999999999999999"), "must be a whole number, not the number 99999999999999999999"},
		{service("healthCheckNodePort: .inf"), "must be a whole number, not the number .inf"},
		{service("healthCheckNodePort: true"), "must be a whole number, not the boolean true"},
		{service("publishNotReadyAddresses: on"), ""},
		{service("publishNotReadyAddresses: 1"), "must be true or false, not the number 1"},
		{service("sessionAffinity: null"), ""},
		{service("sessionAffinity: off"), "must be a string, not the boolean off"},
		{service("sessionAffinity: 2026-01-31"), ""},
		{service("sessionAffinity: !!str 5"), ""},
		{route("mirrorPercent: 5"), ""},
		{route("mirrorPercent: -1"), "-1 is out of range; it must be between 0 and 4294967295"},
		{route("mirrors: [{destination: {host: a}, percentage: {value: .nan}}]"), "must be a number, not the number .nan"},
		{route(`mirrors: [{destination: {host: a}, percentage: {value: "5"}}]`), `must be a number, not the string "5"`},
		{route("timeout: 1h1m1s1ms"), ""},
		{route("timeout: 1.5s"), ""},
		{route("timeout: -1s"), "a duration must be at least 1ms; this is -1s"},
		{route("timeout: 300000000000s"), `the string "300000000000s" is not a duration`},
		{route("mirrors: [{destination: {host: a}}, null]"), "must be a mapping, not empty"},
		{route("corsPolicy: {unmatchedPreflights: 1}"), "the number 1 is not one of UNSPECIFIED, FORWARD, IGNORE"},
		{route("directResponse: {status: 200, body: {bytes: '***'}}"), "is not base64 text: illegal base64 data at input byte 0"},
	} {
		_, problems := parse(t, c.file)
		got := ""
		for _, p := range problems {
			if p.Severity == config.Error && !strings.Contains(p.Message, "cannot contain both") {
				got += p.Message
			}
		}
		if got != c.want {
			t.Errorf("%s\ngot  %q\nwant %q", c.file.Data, got, c.want)
		}
	}
}

// A value arrives in the Set as it was meant.
func TestValues(t *testing.T) {
	set, problems := parse(t, route("timeout: 1.5s\n    headers: {request: {set: {x-a: \"1\", x-yes: 'yes'}}}\n    retries: {attempts: 0x2, perTryTimeout: 1m}"))
	if len(problems) > 0 {
		t.Fatalf("Problems:\n%s", list(problems))
	}
	h := set.VirtualServices[0].Spec.Http[0]
	got := fmt.Sprint(h.Timeout.AsDuration(), h.Headers.Request.Set, h.Retries.Attempts, h.Retries.PerTryTimeout.AsDuration())
	if want := "1.5s map[x-a:1 x-yes:yes] 2 1m0s"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
}

func TestNamespaces(t *testing.T) {
	files := []config.File{service("type: ClusterIP")}
	set, problems := config.Parse(files, nil, config.Options{Namespace: "web"})
	if s := set.Services[0]; len(problems) > 0 || s.Namespace != "web" || s.Spec.Namespace != "web" {
		t.Errorf("namespace %s, %s; Problems %v", s.Namespace, s.Spec.Namespace, problems)
	}
	set, problems = config.Parse(files, nil, config.Options{Namespace: "Web"})
	if diff := cmp.Diff("--namespace: error: \"Web\" is not a valid namespace; it takes lower-case letters, digits and \"-\", at most 63\n", list(problems)); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
	if set.Services[0].Namespace != "default" {
		t.Errorf("namespace %s", set.Services[0].Namespace)
	}
}

// A delegate has no hosts, and does nothing unless another one names it.
func TestDelegates(t *testing.T) {
	const head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
	root := head + "metadata: {name: root}\nspec:\n  hosts: [a]\n  http: [{delegate: {name: leaf}}]\n---\n"
	leaf := head + "metadata: {name: leaf}\nspec:\n  http: [{route: [{destination: {host: a}}]}]\n"
	if _, problems := parse(t, inline(root+leaf)); len(problems) > 0 {
		t.Errorf("Problems:\n%s", list(problems))
	}
	_, problems := parse(t, inline(leaf))
	want := "in.yaml:4: error: VirtualService default/leaf: spec.hosts: at least one host is required; only a VirtualService that another one delegates to may have no hosts\n"
	if diff := cmp.Diff(want, list(problems)); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
	_, problems = parse(t, inline(root+head+"metadata: {name: leaf}\nspec:\n  gateways: [a]\n  http: [{delegate: {name: other}}]\n"))
	want = "in.yaml:12: error: VirtualService default/leaf: spec.gateways: a VirtualService without hosts (a delegate) must not have gateways\n" +
		"in.yaml:13: error: VirtualService default/leaf: spec.http[0].delegate: a delegate must not delegate further; name hosts, or write the routes here\n"
	if diff := cmp.Diff(want, list(problems)); diff != "" {
		t.Errorf("Problems (-want +got):\n%s", diff)
	}
}
