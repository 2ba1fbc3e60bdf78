package test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// Connections that iptables redirects are served as if they had gone where
// they were going; the proxy's own carry a mark and are left alone.
func TestTransparent(t *testing.T) {
	if buildTags == "portable" {
		t.Skip("the portable driver does not mark its connections")
	}
	const (
		own, v1Address, mirroringAddress = "10.201.8.1", "10.201.8.11:8000", "10.201.8.12:8000"
		clusterIP, elsewhere             = "10.201.9.10", "10.201.9.99"
	)
	ns := newNamespace(t, "t")
	needProgram(t, "iptables", "iptables")
	ns.ip(t, "link add out type veth peer name in")
	ns.ip(t, "addr add "+own+"/24 dev out")
	ns.ip(t, "addr add 10.201.8.11/24 dev out")
	ns.ip(t, "addr add 10.201.8.12/24 dev out")
	ns.ip(t, "link set out up")
	ns.ip(t, "link set in up")
	ns.ip(t, "route add default dev out")
	command(t, "ip", append([]string{"netns", "exec", ns.name, "iptables"}, strings.Fields(
		"-w -t nat -A OUTPUT -p tcp --dport 8000 -m mark ! --mark 1337 -j REDIRECT --to-ports 15001")...)...)

	// The services are on port 8000 as well: without the mark, the proxy's
	// connections to them would come back to it.
	v1, mirroring := ns.serve(t, "v1", v1Address), ns.serve(t, "v1-mirroring", mirroringAddress)
	config := copyInCluster(t, "        value: 50\n", "        value: 100\n")
	file := filepath.Join(config, "httpbin.yaml")
	write(t, file, strings.Replace(readFile(t, file), "spec:\n  ports:\n", "spec:\n  clusterIP: "+clusterIP+"\n  ports:\n", 1))
	p := ns.sundog(t, "run", "-f", config, "--endpoint", "httpbin/v1="+v1.address, "--endpoint", "httpbin/v1-mirroring="+mirroring.address,
		"--outbound", "127.0.0.1:15001", "--admin", "127.0.0.1:0")
	p.listener("virtualOutbound")

	tests := []struct {
		name, address, host, shadowHost string
	}{
		{"the service's address and name", clusterIP, "httpbin:8000", "httpbin-shadow:8000"},
		{"the service's address alone", clusterIP, clusterIP + ":8000", clusterIP + "-shadow:8000"},
		{"another address", elsewhere, "httpbin", "httpbin-shadow"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, "")
			c.Transport.(*http.Transport).DialContext = ns.dial
			r := get(t, "http://"+tt.address+":8000/headers")()
			r.Host = tt.host
			if status, answer, err := exchange(c, r); err != nil || status != http.StatusOK || answer != "v1" {
				t.Fatalf("got %d %q, %v", status, answer, err)
			}
			p.settled()
			for s, host := range map[*service]string{v1: tt.host, mirroring: tt.shadowHost} {
				if got := s.got(); len(got) != i+1 || got[i].host != host {
					t.Errorf("%s got %d requests, %v, want the Host %s", s.name, len(got), s.hosts(), host)
				}
			}
		})
	}
	if l := p.settled(); l.Forwarded != len(tests) || l.only(t)["completed"] != len(tests) {
		t.Errorf("the ledger is %+v", l)
	}
	p.stop()
}
