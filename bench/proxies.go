//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// job is what a proxy under measurement does.
type job struct {
	wire

	primary, shadow string // host:port; no shadow: no mirroring
	percent         int    // share that is mirrored, with a shadow
	loops           int    // of Sundog; 0: 1
}

// mirroredTo is the job with copies of a share of the requests.
func (j job) mirroredTo(shadow string, percent int) job {
	j.shadow, j.percent = shadow, percent
	return j
}

// proxy is a program that may do jobs.
type proxy struct {
	name    string
	mirrors bool // has mirroring
	missing bool // is not on this machine
	start   func(context.Context, job) (*process, error)
}

// can tells whether the proxy has what the job asks for.
func (p proxy) can(j job) bool { return j.shadow == "" || p.mirrors }

func (b *bench) sundogProxy() proxy { return proxy{"sundog", true, false, b.startSundog} }
func (b *bench) nginxProxy() proxy  { return proxy{"nginx", true, false, b.startNginx} }
func (b *bench) envoyProxy() proxy {
	return proxy{"envoy", true, b.peers.envoy == "", b.startEnvoy}
}

func (b *bench) haproxyProxy() proxy {
	return proxy{"haproxy", false, b.peers.haproxy == "", b.startHAProxy}
}

func (b *bench) caddyProxy() proxy {
	return proxy{"caddy", false, b.peers.caddy == "", b.startCaddy}
}

// mirroring are the proxies that can mirror.
func (b *bench) mirroring() []proxy {
	return []proxy{b.sundogProxy(), b.nginxProxy(), b.envoyProxy()}
}

// all are all proxies.
func (b *bench) all() []proxy {
	return append(b.mirroring(), b.haproxyProxy(), b.caddyProxy())
}

// contender is a proxy under measurement, running.
type contender struct {
	name    string
	mirrors bool // has mirroring
	*process
}

// contenders starts the proxies that are there, all with the same job, and
// asks each for an answer. One that cannot is told, and left out. stop ends
// them.
func (b *bench) contenders(ctx context.Context, j job, proxies ...proxy) (all []contender, stop func()) {
	for _, p := range proxies {
		if p.missing || !p.can(j) {
			continue
		}
		started, err := p.start(ctx, j)
		if err == nil {
			err = probe(ctx, started.addr, j.wire)
		}
		if err != nil {
			b.report.failure("%s: %v", p.name, err)
			started.stop()
			continue
		}
		all = append(all, contender{p.name, p.mirrors, started})
	}
	return all, func() {
		for _, c := range all {
			c.stop()
		}
	}
}

// site is what the configurations of peers and backends are made from.
type site struct {
	job

	Name, Dir, Addr string
	Pair            keyPair
}

func (c site) Primary() string { return c.primary }
func (c site) Shadow() string  { return c.shadow }
func (c site) Percent() int    { return c.percent }
func (c site) Share() bool     { return c.shadow != "" && c.percent < 100 }
func (c site) TLS() bool       { return c.key != "" }
func (c site) H2() bool        { return c.h2 }
func (c site) GRPC() bool      { return c.grpc }
func (c site) Cert() string    { return c.Pair.cert }
func (c site) Key() string     { return c.Pair.key }
func (c site) Both() string    { return c.Pair.both }

// ALPN is what the proxy offers under TLS.
func (c site) ALPN() string {
	if c.h2 {
		return "h2"
	}
	return "http/1.1"
}

// Port is the port to serve on.
func (c site) Port() (string, error) {
	_, port, err := net.SplitHostPort(c.Addr)
	return port, err
}

// Socket is an address in Envoy's form.
func (c site) Socket(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	return fmt.Sprintf("{address: %s, port_value: %s}", host, port), err
}

// configure writes a configuration into a file of its own, with a free address
// to serve on.
func (b *bench) configure(text string, j job) (file, addr string, err error) {
	if addr, err = freeAddr(); err != nil {
		return "", "", err
	}
	parsed, err := template.New("").Parse(text)
	if err != nil {
		return "", "", err
	}
	name := strings.NewReplacer(".", "-", ":", "-").Replace(addr)
	var s strings.Builder
	if err := parsed.Execute(&s, site{job: j, Name: name, Dir: b.dir, Addr: addr, Pair: b.certs[j.key]}); err != nil {
		return "", "", err
	}
	file = filepath.Join(b.dir, name+".yaml") // the name matters to Envoy only
	return file, addr, os.WriteFile(file, []byte(s.String()), 0o600)
}
