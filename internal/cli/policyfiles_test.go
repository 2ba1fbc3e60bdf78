package cli_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const watchedPolicy = `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web}
spec:
  hosts: [web.example, shadow.example]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web.example]
  http:
  - route: [{destination: {host: web.example}}]
    mirrors: [{destination: {host: shadow.example}, percentage: {value: 100}}]
---
apiVersion: sundog.dev/v1alpha1
kind: ShadowPolicy
metadata: {name: watched}
spec:
  targetRefs: [{group: networking.istio.io, kind: VirtualService, name: web}]
  request: {redact: {headers: [x-secret], keyFile: %q}}
  compare: {openAPIFile: %q, protobuf: {descriptorFile: %q}}
`

func openAPI(template string) string {
	return "openapi: 3.0.0\npaths:\n  " + template + ": {get: {}}\n"
}

// Keys and schemas that a ShadowPolicy names take effect when their files
// change, and stay what they were while the files are gone or bad.
func TestRunFollowsTheFilesOfPolicies(t *testing.T) {
	dir := t.TempDir()
	file, key, api, types := filepath.Join(dir, "web.yaml"), filepath.Join(dir, "key"), filepath.Join(dir, "api.yaml"), filepath.Join(dir, "types.pb")
	one, two := strings.Repeat("1", 32), strings.Repeat("2", 32)
	write(t, file, fmt.Sprintf(watchedPolicy, key, api, types))
	write(t, key, one)
	write(t, api, openAPI("/a/{id}"))
	write(t, types, "")
	primary, hosts := service(t, "primary")
	secrets := make(chan string, 1000)
	shadow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secrets <- r.Header.Get("x-secret")
		_, _ = io.WriteString(w, "shadow")
	}))
	t.Cleanup(shadow.Close)
	p := start(t, "run", "-f", file, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--endpoint", "web.example="+primary, "--endpoint", "shadow.example="+strings.TrimPrefix(shadow.URL, "http://"))
	c := client(t, p.address("virtualOutbound"))
	pseudonym := func() string {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://web.example/a/b", http.NoBody)
		must(t, err)
		req.Header.Set("x-secret", "open sesame")
		resp, err := c.Do(req)
		must(t, err)
		must(t, resp.Body.Close())
		receive(t, hosts)
		return receive(t, secrets)
	}
	becomes := func(what string, good func(string) bool) string {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			got := pseudonym()
			if good(got) {
				return got
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the shadow gets %q", what, got)
			}
		}
	}
	first := pseudonym()
	write(t, key, two)
	second := becomes("another key", func(s string) bool { return s != first })

	must(t, os.Remove(key))
	p.find(&p.err, `ShadowPolicy default/watched.*spec.request.redact.keyFile.*`+key)
	p.find(&p.err, `level=ERROR msg="the new configuration cannot be served.*request.redact.keyFile: open `+key)
	if got := pseudonym(); got != second {
		t.Errorf("without the key the shadow gets %q, and with it %q", got, second)
	}
	write(t, key, "short")
	p.find(&p.err, `ShadowPolicy default/watched: request.redact.keyFile: `+key+`: redact: the key has 5 bytes`)
	write(t, key, "")
	p.find(&p.err, `a file is empty.* path=`+key+` object="ShadowPolicy default/watched" field=spec.request.redact.keyFile`)
	if got := pseudonym(); got != second {
		t.Errorf("with a bad key the shadow gets %q, and with a good one %q", got, second)
	}
	write(t, key, one)
	becomes("the first key", func(s string) bool { return s == first })

	reported := func(template string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; {
			pseudonym()
			_, report := get(t, client(t, ""), p.adminURL("/report?format=text"))
			if strings.Contains(report, template) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("no %s in %s", template, report)
			}
		}
	}
	reported("GET /a/{id}")
	write(t, api, openAPI("/a/b"))
	reported("GET /a/b")
	write(t, api, "openapi: [")
	p.find(&p.err, `level=ERROR msg="a file of a ShadowPolicy cannot be used; what it held before stays in use" object="ShadowPolicy default/watched" field=spec.compare.openAPIFile path=`+api)
	write(t, types, "no descriptors")
	p.find(&p.err, `field=spec.compare.protobuf.descriptorFile path=`+types)
}
