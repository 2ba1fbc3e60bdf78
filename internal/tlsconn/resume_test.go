package tlsconn_test

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// resumes makes two connections to addr and reports whether the second resumed.
func resumes(t *testing.T, addrs [2]netip.AddrPort, cfg *tls.Config) bool {
	t.Helper()
	cfg.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	resumed := false
	for _, addr := range addrs {
		nc, err := tls.Dial("tcp", addr.String(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := roundTrip(nc); err != nil {
			t.Fatal(err)
		}
		resumed = nc.ConnectionState().DidResume
		_ = nc.Close()
	}
	return resumed
}

func TestResumption(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		ca := certtest.NewCA()
		cert := ca.Issue("a.example")
		cfg := func() *tls.Config {
			return &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", MaxVersion: version}
		}
		serverOf := func(ctx *tlsv3.DownstreamTlsContext, old *tlsconn.Server, inherits bool) (*tlsconn.Server, netip.AddrPort) {
			s := compileServer(t, ctx)
			if s.Inherit(old) != inherits {
				t.Errorf("Inherit() = %v", !inherits)
			}
			return s, echoTLS(t, start(t), s, nil) // another loop each time
		}
		first, addr1 := serverOf(downstream(cert), nil, false)
		_, same := serverOf(downstream(cert), first, true)
		_, changed := serverOf(requireClients(downstream(cert), certtest.NewCA()), first, false)
		_, other := serverOf(downstream(cert), nil, false)
		off := downstream(cert)
		off.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true}
		_, never := serverOf(off, nil, false)
		_ = changed
		for _, c := range []struct {
			about string
			addrs [2]netip.AddrPort
			want  bool
		}{
			{"the same server", [2]netip.AddrPort{addr1, addr1}, true},
			{"its heir on another loop", [2]netip.AddrPort{addr1, same}, true},
			{"one with keys of its own", [2]netip.AddrPort{addr1, other}, false},
			{"tickets off", [2]netip.AddrPort{never, never}, false},
		} {
			if got := resumes(t, c.addrs, cfg()); got != c.want {
				t.Errorf("%s: resumed %v", c.about, got)
			}
		}
	})
}

func TestSharedTicketKeys(t *testing.T) {
	ca := certtest.NewCA()
	cert := ca.Issue("a.example")
	ctx := downstream(cert)
	ctx.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_SessionTicketKeys{SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{
		Keys: []*corev3.DataSource{inline(strings.Repeat("k", 80))},
	}}
	var addrs [2]netip.AddrPort
	for i := range addrs {
		addrs[i] = echoTLS(t, start(t), compileServer(t, ctx), nil)
	}
	if !resumes(t, addrs, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example"}) {
		t.Error("the same ticket keys do not resume")
	}
}

func TestClientResumes(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		ca := certtest.NewCA()
		addr := goEcho(t, &tls.Config{Certificates: []tls.Certificate{ca.Issue("a.example").TLS()}, MaxVersion: version})
		l := start(t)
		first := compileClient(t, upstream(ca, nil))
		heir, stranger := compileClient(t, upstream(ca, nil)), compileClient(t, upstream(ca, typed(tlsv3.SubjectAltNameMatcher_DNS, exact("b.example"))))
		if !heir.Inherit(first) || stranger.Inherit(first) {
			t.Error("Inherit is wrong")
		}
		none := upstream(ca, nil)
		none.MaxSessionKeys = wrapperspb.UInt32(0)
		on(t, l, func(task *loop.Task) {
			once := func(cl *tlsconn.Client) bool {
				c, err := connect(task, cl, addr, "a.example")
				if err != nil {
					t.Error(err)
					return false
				}
				defer c.Close()
				c.Write([]byte("x"))
				if err := read(task, c); err != nil {
					t.Error(err)
				}
				info, _ := tlsconn.State(c)
				return info.Resumed
			}
			off := compileClient(t, none)
			if got := []bool{once(first), once(first), once(heir), once(off), once(off)}; !slices.Equal(got, []bool{false, true, true, false, false}) {
				t.Errorf("resumed: %v", got)
			}
		})
	})
}

// TestMutualResumes: a resumed session still knows its client, and is not
// taken by a server that trusts others.
func TestMutualResumes(t *testing.T) {
	ca := certtest.NewCA()
	cert, client := ca.Issue("a.example"), ca.Issue("client").TLS()
	l := start(t)
	infos := make(chan tlsconn.Info, 2)
	s := compileServer(t, requireClients(downstream(cert), ca))
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		defer c.Close()
		info, err := s.Handshake(task, c)
		if err != nil {
			t.Error(err)
		}
		infos <- info
		_ = echo(task, c)
	})
	if !resumes(t, [2]netip.AddrPort{addr, addr}, &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", Certificates: []tls.Certificate{client}}) {
		t.Error("not resumed")
	}
	for i := range 2 {
		info := <-infos
		if info.Resumed != (i == 1) || info.Peer == nil || info.Peer.Subject.CommonName != "client" || info.ServerName != "a.example" || info.Version != tls.VersionTLS13 {
			t.Errorf("connection %d: %+v", i, info)
		}
	}
	ctx := requireClients(downstream(cert), certtest.NewCA())
	if other := compileServer(t, ctx); other.Inherit(s) {
		t.Error("a server that trusts another CA took the sessions over")
	}
}
