package test

import (
	"strings"
	"testing"
)

// requests is how many make a share that is off stand out.
const requests = 2000

// mesh starts a sundog that serves the configuration to clients of its
// outbound listener, with v1 and v1-mirroring of httpbin at these addresses.
func mesh(t *testing.T, config, v1, mirroring string, more ...string) *process {
	t.Helper()
	return sundog(t, append([]string{
		"run", "-f", config, "--outbound", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--endpoint", "httpbin/v1=" + v1, "--endpoint", "httpbin/v1-mirroring=" + mirroring,
	}, more...)...)
}

// The in-cluster scenario as it is written, between real httpbin services.
func TestInCluster(t *testing.T) {
	v1, mirroring := startHTTPBin(t, "v1"), startHTTPBin(t, "v1-mirroring")
	p := mesh(t, inCluster, v1.address, mirroring.address)
	send(t, client(t, p.listener("virtualOutbound")), requests, "", get(t, "http://httpbin:8000/headers"))

	l := p.settled()
	o := l.only(t)
	if l.Forwarded != requests || o.sum() != requests || o["completed"]+o["not_sampled"] != requests {
		t.Errorf("the ledger is %+v", l)
	}
	if o["completed"] < 900 || o["completed"] > 1100 {
		t.Errorf("%d of %d requests were mirrored, want about half", o["completed"], requests)
	}
	p.stop()
	v1.stop() // so that its log is whole
	mirroring.stop()
	logged(t, v1, requests, "httpbin:8000")
	logged(t, mirroring, o["completed"], "httpbin-shadow:8000")
}

// logged checks how many requests httpbin has logged, and the Host of each.
func logged(t *testing.T, h *httpbin, want int, host string) {
	t.Helper()
	lines := h.lines()
	if len(lines) != want {
		t.Errorf("%s has %d lines, want %d", h.log, len(lines), want)
	}
	for _, line := range lines {
		if !strings.HasSuffix(line, `"GET /headers HTTP/1.1" 200 host=`+host) {
			t.Fatalf("%s has the line %q, want the Host %s", h.log, line, host)
		}
	}
}

// The shares at the ends are exact.
func TestShares(t *testing.T) {
	const half = "      mirrorPercentage:\n        value: 50\n"
	tests := []struct {
		name, share string
		mirrored    int
	}{
		{"0", "      mirrorPercentage:\n        value: 0\n", 0},
		{"absent", "", requests},
		{"100", "      mirrorPercentage:\n        value: 100\n", requests},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v1, mirroring := serve(t, "v1"), serve(t, "v1-mirroring")
			p := mesh(t, copyInCluster(t, half, tt.share), v1.address, mirroring.address)
			send(t, client(t, p.listener("virtualOutbound")), requests, "v1", get(t, "http://httpbin:8000/headers"))
			l := p.settled()
			if got := v1.hosts()["httpbin:8000"]; got != requests || l.Forwarded != requests {
				t.Errorf("v1 got %v, the ledger has %d forwarded", v1.hosts(), l.Forwarded)
			}
			if got := len(mirroring.got()); got != tt.mirrored || mirroring.hosts()["httpbin-shadow:8000"] != got {
				t.Errorf("v1-mirroring got %v, want %d", mirroring.hosts(), tt.mirrored)
			}
			completed := 0
			for _, r := range l.Routes {
				for _, m := range r.Mirrors { // none, where the share is 0
					completed += m.Outcomes["completed"]
				}
			}
			if completed != tt.mirrored {
				t.Errorf("the ledger is %+v", l)
			}
			p.stop()
		})
	}
}
