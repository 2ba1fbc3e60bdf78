package proxy_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	ppv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// run serves a snapshot until the test ends and returns its first address.
func run(t testing.TB, snap *envoy.Snapshot, opt proxy.Options) (*proxy.Proxy, string) {
	t.Helper()
	p, addr := serve(t, newScene("127.0.0.1:1"), opt) // anything, to begin with
	snap.Listeners[0].Name = "test"
	if err := p.Apply(snap); err != nil {
		t.Fatal(err)
	}
	return p, addr
}

func uint32Of(n uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(n) }

// behindProxyProtocol is a snapshot whose listener wants the header.
func behindProxyProtocol(t testing.TB, s *scene) *envoy.Snapshot {
	t.Helper()
	filter, err := anypb.New(&ppv3.ProxyProtocol{})
	if err != nil {
		t.Fatal(err)
	}
	snap := s.snapshot(t)
	snap.Listeners[0].ListenerFilters = []*listenerv3.ListenerFilter{{
		Name: "proxy", ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: filter},
	}}
	return snap
}

// header2 is a PROXY header of version 2.
func header2(command, family byte, addresses []byte, tlvs ...byte) string {
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, family)
	h = binary.BigEndian.AppendUint16(h, uint16(len(addresses)+len(tlvs)))
	return string(append(append(h, addresses...), tlvs...))
}

// ends are the addresses of both ends, as version 2 has them.
func ends(from, to string) []byte {
	a, b := netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)
	out := append(a.Addr().AsSlice(), b.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(out, a.Port()), b.Port())
}

func TestProxyProtocol(t *testing.T) {
	s := newScene(backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("X-Forwarded-For")) }))
	s.hcm.UseRemoteAddress = wrapperspb.Bool(true)
	sink := &recorder{}
	p, addr := run(t, behindProxyProtocol(t, s), proxy.Options{Concurrency: 1, Sink: sink})
	n := 0
	for _, tt := range []struct{ name, header, want string }{
		{"1, IPv4", "PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", "203.0.113.7"},
		{"1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n", "2001:db8::7"},
		{"1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{"1, unknown with more", "PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", "127.0.0.1"},
		{"2, IPv4", header2(1, 0x11, ends("203.0.113.8:1", "192.0.2.1:2")), "203.0.113.8"},
		{"2, IPv6", header2(1, 0x21, ends("[2001:db8::8]:1", "[2001:db8::1]:2")), "2001:db8::8"},
		{"2, mapped", header2(1, 0x21, ends("[::ffff:203.0.113.9]:1", "[::ffff:192.0.2.1]:2")), "203.0.113.9"},
		{"2, with TLVs", header2(1, 0x11, ends("203.0.113.8:1", "192.0.2.1:2"), 0x04, 0, 3, 1, 2, 3), "203.0.113.8"},
		{"2, local", header2(0, 0, nil), "127.0.0.1"},
	} {
		for _, bytewise := range []bool{false, true} {
			for _, down := range []protocol{h1, h2c} {
				c := dial(t, addr)
				if bytewise {
					_ = c.SetNoDelay(true)
					for i := range len(tt.header) {
						c.send("%s", tt.header[i:i+1])
					}
				} else {
					c.send("%s", tt.header)
				}
				got := ""
				if down == h1 {
					c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					_, got = c.response("GET")
				} else {
					f := newFrames(c)
					f.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
					_ = f.WriteSettings()
					f.ask(1, "GET", "/", true)
					_, got = f.answered(1)
				}
				if e := sink.wait(t, traffic.Answered, n); got != tt.want || e.client != tt.want {
					t.Errorf("%s, %s, byte by byte %v: the primary saw %q, recorded %q, want %q", tt.name, down, bytewise, got, e.client, tt.want)
				}
				n++
				_ = c.Close()
			}
		}
	}
	wantQuiet(t, p)
}

func TestProxyProtocolGarbage(t *testing.T) {
	p, addr := run(t, behindProxyProtocol(t, newScene(backend(t, echo))), proxy.Options{Concurrency: 1})
	all := []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"PROXY TCP4 nonsense\r\n",
		"PROXY TCP4 203.0.113.7 192.0.2.1 4711 99999\r\n",
		"PROXY " + strings.Repeat("x", 200),
		"PROXX",
		header2(1, 0x11, []byte{1, 2, 3}),
		"\r\n\r\n\x00\r\nQUIT\n\x11\x11\x00\x00", // version 1 in the form of 2
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff", // 64 KiB of addresses
		"\r\n\r\nxx",
	}
	for _, garbage := range all {
		c := dial(t, addr)
		c.send("%s", garbage)
		if got, _ := c.rest(); got != "" {
			t.Errorf("%q was answered with %q", garbage, got)
		}
	}
	if n := stat(p, "listener.downstream_cx_proxy_protocol_error"); n != uint64(len(all)) {
		t.Errorf("%d errors counted of %d", n, len(all))
	}
}
