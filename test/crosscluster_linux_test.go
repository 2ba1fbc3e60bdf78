package test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// The cross-cluster scenario: two clusters, a wire between their gateways, and
// half of /headers in the other cluster, too.
func TestCrossCluster(t *testing.T) {
	const addressA, addressB = "10.201.7.1", "10.201.7.2"
	a, b := newNamespace(t, "a"), newNamespace(t, "b")
	a.ip(t, "link add wire type veth peer name wire netns "+b.name)
	a.ip(t, "addr add "+addressA+"/24 dev wire")
	b.ip(t, "addr add "+addressB+"/24 dev wire")
	a.ip(t, "link set wire up")
	b.ip(t, "link set wire up")

	// The services listen on loopback: nobody outside of the cluster has them.
	httpbinA, httpbinB := a.serve(t, "cluster A", "127.0.0.1:28001"), b.serve(t, "cluster B", "127.0.0.1:28001")
	gatewayB := b.sundog(t, "run", "-f", filepath.Join(crossCluster, "cluster-b.yaml"), "--gateway", "istio=ingressgateway",
		"--endpoint", "httpbin="+httpbinB.address, "--outbound", "", "--admin", "127.0.0.1:0")
	gatewayA := a.sundog(t, "run", "-f", clusterA(t, addressB), "--gateway", "istio=ingressgateway",
		"--endpoint", "httpbin/v1="+httpbinA.address, "--outbound", "", "--admin", "127.0.0.1:0")
	for _, g := range []*process{gatewayA, gatewayB} {
		if address := g.listener("0.0.0.0_80"); !strings.HasSuffix(address, ":80") {
			t.Errorf("a gateway is bound to %s, want port 80", address)
		}
	}

	c := client(t, "")
	c.Transport.(*http.Transport).DialContext = a.dial
	send(t, c, requests, "cluster A", get(t, "http://"+addressA+"/headers"))
	if status, answer, err := exchange(c, get(t, "http://"+addressA+"/get")()); err != nil || status != http.StatusNotFound {
		t.Errorf("/get got %d %q, %v, want 404: no route matches", status, answer, err)
	}

	l := gatewayA.settled()
	o := l.only(t)
	mirrored := o["completed"]
	if l.Forwarded != requests || o["not_sampled"]+mirrored != requests || mirrored < 900 || mirrored > 1100 {
		t.Errorf("gateway A: %d forwarded, outcomes %v, want about half of %d", l.Forwarded, o, requests)
	}
	if l := gatewayB.settled(); l.Forwarded != mirrored {
		t.Errorf("gateway B forwarded %d requests, want %d", l.Forwarded, mirrored)
	}
	headersOnly(t, httpbinA, requests, addressA)
	headersOnly(t, httpbinB, mirrored, addressA+"-shadow")
	// The client, gateway A as the copy's sender, and what gateway B saw.
	way := strings.Join([]string{addressA, addressA, addressA}, ",")
	for _, r := range httpbinB.got() {
		if xff := r.header.Get("X-Forwarded-For"); xff != way {
			t.Fatalf("httpbin of B got X-Forwarded-For %q, want %q: through both gateways", xff, way)
		}
	}
	gatewayA.stop()
	gatewayB.stop()
}

// headersOnly checks how many requests for /headers a service has had, and their Host.
func headersOnly(t *testing.T, s *service, want int, host string) {
	t.Helper()
	requests := s.got()
	if len(requests) != want {
		t.Errorf("%s got %d requests, want %d", s.name, len(requests), want)
	}
	for _, r := range requests {
		if r.host != host || r.path != "/headers" {
			t.Fatalf("%s got %s of %s, want /headers of %s", s.name, r.path, r.host, host)
		}
	}
}
