//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// startSundog runs sundog mirror where that is enough; TLS and HTTP/2 need a
// Gateway.
func (b *bench) startSundog(ctx context.Context, j job) (*process, error) {
	if j.wire == (wire{}) {
		return b.startMirror(ctx, j)
	}
	file, _, err := b.configure(sundogGateway, j)
	if err != nil {
		return nil, err
	}
	shadow := j.shadow
	if shadow == "" {
		shadow = j.primary
	}
	return b.startRun(ctx, max(j.loops, 1), file, "app="+j.primary, "shadow="+shadow)
}

// startMirror runs sundog mirror.
func (b *bench) startMirror(ctx context.Context, j job) (*process, error) {
	percent, shadow := j.percent, j.shadow
	if shadow == "" {
		percent, shadow = 0, j.primary
	}
	return b.serveSundog(ctx, max(j.loops, 1), func(addr string) []string {
		return []string{
			"mirror", "--listen", addr, "--primary", "http://" + j.primary,
			"--shadow", "http://" + shadow, "--percent", strconv.Itoa(percent),
		}
	})
}

// startRun runs sundog run with a file, whose Gateway has the port 80, and
// endpoints (HOST=IP:PORT).
func (b *bench) startRun(ctx context.Context, loops int, file string, endpoints ...string) (*process, error) {
	return b.serveSundog(ctx, loops, func(addr string) []string {
		args := []string{"run", "-f", file, "--outbound", "", "--publish", addr + ":80"}
		for _, e := range endpoints {
			args = append(args, "--endpoint", e)
		}
		return args
	})
}

// sundogGateway is a job as Istio's users write it. Upstreams speak what the
// name of their port says.
const sundogGateway = `
{{- define "service"}}
  selector: {app: bench}
  ports: [{name: {{if .GRPC}}grpc{{else}}http{{end}}, port: 80}]{{end -}}
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bench}
spec:
  selector: {istio: ingressgateway}
  servers:
  - hosts: ["*"]
    {{if .TLS}}port: {number: 80, name: front, protocol: HTTPS}
    tls: {mode: SIMPLE, serverCertificate: {{.Cert}}, privateKey: {{.Key}}}
    {{- else}}port: {number: 80, name: front, protocol: {{if .H2}}HTTP2{{else}}HTTP{{end}}}{{end}}
---
apiVersion: v1
kind: Service
metadata: {name: app}
spec: {{- template "service" .}}
---
apiVersion: v1
kind: Service
metadata: {name: shadow}
spec: {{- template "service" .}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bench}
spec:
  hosts: ["*"]
  gateways: [bench]
  http:
  - timeout: 15s
    retries: {attempts: 0}
    route: [{destination: {host: app, port: {number: 80}}}]
    {{- if .Shadow}}
    mirror: {host: shadow, port: {number: 80}}
    mirrorPercentage: {value: {{.Percent}}}
    {{- end}}
`

// serveSundog runs sundog with the arguments that make it serve at addr.
func (b *bench) serveSundog(ctx context.Context, loops int, args func(addr string) []string) (*process, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := launch(ctx, addr, nil, b.sundog, append(args(addr),
		"--concurrency", strconv.Itoa(loops), "--admin", admin, "--drain-time", "0s", "--log-level", "warn",
		"--max-cpu", "0", "--brake-ratio", "0")...) // or it would mirror less at full load
	if err != nil {
		return nil, err
	}
	p.admin = admin
	return p, nil
}

// ask gets a page of a sundog's admin interface.
func (p *process) ask(ctx context.Context, page string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+page, nil)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", page, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("asking for %s: %s", page, resp.Status)
	}
	return read(resp.Body)
}

// metrics are a sundog's own metrics without labels, by name.
func (p *process) metrics(ctx context.Context) (map[string]float64, error) {
	all := map[string]float64{}
	err := p.ask(ctx, "/stats/prometheus", func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), " ")
			if v, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(name, "#") {
				all[name] = v
			}
		}
		return lines.Err()
	})
	return all, err
}

// ledger is what Sundog says of its copies, over all routes.
type ledger struct {
	Routes []struct {
		Forwarded uint64 `json:"forwarded"`
		Mirrors   []struct {
			Outcomes map[string]uint64 `json:"outcomes"`
		} `json:"mirrors"`
	} `json:"routes"`
}

// ledger asks the admin interface of a sundog.
func (p *process) ledger(ctx context.Context) (ledger, error) {
	var l ledger
	err := p.ask(ctx, "/ledger", func(r io.Reader) error { return json.NewDecoder(r).Decode(&l) })
	return l, err
}

// sums adds the outcomes of all mirrors; want is how many there must be: for
// each mirror, its route's forwarded requests.
func (l ledger) sums() (outcomes map[string]uint64, got, want uint64) {
	outcomes = map[string]uint64{}
	for _, r := range l.Routes {
		for _, m := range r.Mirrors {
			want += r.Forwarded
			for name, n := range m.Outcomes {
				outcomes[name] += n
				got += n
			}
		}
	}
	return outcomes, got, want
}

// balances tells whether the sums are right.
func (l ledger) balances() bool {
	_, got, want := l.sums()
	return got == want
}

// dominant is the outcome that most copies had.
func (l ledger) dominant() string {
	outcomes, _, _ := l.sums()
	most := ""
	for _, name := range slices.Sorted(maps.Keys(outcomes)) {
		if outcomes[name] > outcomes[most] {
			most = name
		}
	}
	return most
}

// String has the outcomes, and whether their sum is right.
func (l ledger) String() string {
	outcomes, got, want := l.sums()
	var text []string
	for _, name := range slices.Sorted(maps.Keys(outcomes)) {
		if outcomes[name] > 0 {
			text = append(text, fmt.Sprintf("%s %d", name, outcomes[name]))
		}
	}
	if got != want {
		return strings.Join(append(text, fmt.Sprintf("**does NOT balance**: %d outcomes, %d forwarded", got, want)), ", ")
	}
	return strings.Join(append(text, "balances"), ", ")
}
