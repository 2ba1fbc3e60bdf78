package test

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// Two sundogs do not share a port. The second says which one is taken.
func TestTakenPorts(t *testing.T) {
	first := mesh(t, inCluster, "127.0.0.1:9", "127.0.0.1:9")
	outbound := first.listener("virtualOutbound")
	_, outboundPort, err := net.SplitHostPort(outbound)
	must(t, err)
	admin := first.find(&first.err, `msg="admin interface" address=(\S+)`)
	tests := []struct {
		name, port string
		args       []string
	}{
		{"outbound", outbound, []string{"run", "-f", inCluster, "--admin", "", "--outbound", outbound}},
		{"admin", admin, []string{"run", "-f", inCluster, "--admin", admin, "--outbound", ""}},
		{"gateway", outbound, []string{"run", "-f", crossCluster + "/cluster-b.yaml", "--admin", "", "--outbound", "", "--publish", outbound + ":80"}},
		{"all interfaces", outbound, []string{"run", "-f", crossCluster + "/cluster-b.yaml", "--admin", "", "--outbound", "", "--publish", outboundPort + ":80"}},
		{"mirror", outbound, []string{"mirror", "--listen", outbound, "--primary", "http://127.0.0.1:9", "--shadow", "http://127.0.0.1:9", "--admin", ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			second := sundog(t, tt.args...)
			if code := second.wait(); code == 0 {
				t.Error("exit code 0")
			}
			_, port, err := net.SplitHostPort(tt.port)
			must(t, err)
			if text := second.err.String(); !strings.Contains(text, ":"+port) || !strings.Contains(text, "already") || !strings.Contains(text, "hint: ") {
				t.Errorf("stderr does not tell that %s is taken, and what to do:\n%s", tt.port, text)
			}
		})
	}
	if status, _ := first.get("/ready"); status != http.StatusOK {
		t.Errorf("/ready of the first is %d", status)
	}
	first.stop()
}

func TestReady(t *testing.T) {
	p := mesh(t, inCluster, "127.0.0.1:9", "127.0.0.1:9")
	p.listener("virtualOutbound")
	if status, body := p.get("/ready"); status != http.StatusOK || string(body) != "LIVE\n" {
		t.Errorf("/ready of a sundog that serves: %d %q", status, body)
	}
	p.stop()
}

// A request that is under way at SIGTERM is served to its end; new connections
// are refused.
func TestTerminationLetsRequestsFinish(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	primary := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-release
		_, _ = w.Write([]byte("late"))
	})}
	go func() { _ = primary.Serve(ln) }()
	t.Cleanup(func() { _ = primary.Close() })
	shadow := serve(t, "shadow")
	p := mirror(t, ln.Addr().String(), shadow.address, "--drain-time", "20s")
	address := p.listener("127.0.0.1_0")

	type answer struct {
		status int
		body   string
		err    error
	}
	answers := make(chan answer, 1)
	c, request := client(t, ""), get(t, "http://"+address+"/")()
	go func() {
		var a answer
		a.status, a.body, a.err = exchange(c, request)
		answers <- a
	}()
	<-arrived
	p.terminate()
	p.find(&p.err, "msg=draining")
	if status, body := p.get("/ready"); status != http.StatusServiceUnavailable || string(body) != "DRAINING\n" {
		t.Errorf("/ready of a sundog that drains: %d %q", status, body)
	}
	eventually(t, "new connections are refused", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	select {
	case <-p.done:
		t.Error("it ended while a request was under way")
	case a := <-answers:
		t.Errorf("the request was answered early: %+v", a)
	default:
	}
	close(release)
	if a := <-answers; a.err != nil || a.status != http.StatusOK || a.body != "late" {
		t.Errorf("the request got %+v", a)
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
