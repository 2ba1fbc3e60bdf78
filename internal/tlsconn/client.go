package tlsconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// Client is a compiled UpstreamTlsContext. It is immutable but for Inherit.
type Client struct {
	// Ignored names the fields of the context that have no effect, and says
	// so where the server is not verified.
	Ignored []string

	config    *tls.Config
	sessions  tls.ClientSessionCache // nil: none are kept
	verify    *verifier              // nil: anything goes
	certs     *certificates
	sni       string
	fromHost  bool
	checkName bool
	identity  [32]byte
}

// sessionsKept is how many sessions a Client keeps to resume them, over all
// endpoints, when max_session_keys is not set. Envoy keeps one.
const sessionsKept = 256

// CompileClient makes a Client of Envoy's context. Its errors name the field,
// file or secret. It reads files, so it is not for a loop's goroutine.
func CompileClient(ctx *tlsv3.UpstreamTlsContext, secrets Secrets) (*Client, error) {
	c := newCompiler(secrets)
	c.only("", ctx, only{
		"common_tls_context", "sni", "auto_host_sni", "auto_sni_san_validation", "max_session_keys", "enforce_rsa_key_usage",
	}, only{"allow_renegotiation"})
	common := ctx.GetCommonTlsContext()
	cl := &Client{sni: ctx.GetSni(), fromHost: ctx.GetAutoHostSni(), checkName: ctx.GetAutoSniSanValidation()}
	cl.config = c.common(common)
	cl.certs = c.certificates(common)
	if len(cl.certs.all) > 1 {
		c.fail("common_tls_context.tls_certificates", "has %d entries: a client has one at most", len(cl.certs.all))
	}
	cl.verify = c.validation("common_tls_context", common, false)
	switch {
	case cl.verify == nil || cl.verify.roots == nil:
		if cl.checkName {
			c.fail("auto_sni_san_validation", "needs validation_context.trusted_ca: names in a certificate that nobody vouches for prove nothing")
		}
		if cl.verify == nil {
			c.ignored = append(c.ignored, "the server's certificate is not verified: common_tls_context.validation_context has no trusted_ca")
		}
	default:
		cl.verify.rsaUsage = ctx.GetEnforceRsaKeyUsage().GetValue()
	}
	kept := sessionsKept
	if n := ctx.GetMaxSessionKeys(); n != nil {
		kept = int(min(n.GetValue(), 1<<20))
	}
	if kept > 0 {
		cl.sessions = tls.NewLRUClientSessionCache(kept)
	}
	cl.config.InsecureSkipVerify = true // verifier does it, in Envoy's way
	cl.identity = c.identity()
	cl.Ignored = c.ignored
	if err := c.err("upstream TLS context"); err != nil {
		return nil, err
	}
	return cl, nil
}

// AutoHostSNI reports whether Begin's server name ought to be the endpoint's
// host name (auto_host_sni).
func (cl *Client) AutoHostSNI() bool { return cl.fromHost }

// VerifyName is a Client like cl that also wants the certificate to be for the
// server name (auto_san_validation of the cluster's HTTP options). The error
// is for a context without trusted CA.
func (cl *Client) VerifyName() (*Client, error) {
	if cl.verify == nil || cl.verify.roots == nil {
		return nil, errors.New("auto_san_validation needs a trusted_ca in the TLS context's validation_context")
	}
	other := *cl
	other.checkName = true
	return &other, nil
}

// Offers are the protocols that are offered in ALPN, the best first.
func (cl *Client) Offers() []string { return cl.config.NextProtos }

// Offering is a Client like cl that offers these protocols instead.
func (cl *Client) Offering(protocols ...string) *Client {
	other := *cl
	other.config = cl.config.Clone()
	other.config.NextProtos = protocols
	return &other
}

// Inherit takes the sessions of the Client that cl replaces, if certificates
// and the rules for servers are the same, and reports whether it did. Call it
// before cl is used.
func (cl *Client) Inherit(old *Client) bool {
	if old == nil || cl.identity != old.identity || cl.sessions == nil || old.sessions == nil {
		return false
	}
	cl.sessions = old.sessions
	return true
}

// Begin starts the handshake on c, which may still be connecting, in a task of
// its own. Until it is done c.Connected is false and what is written waits;
// then c's task, from now on `then`, is woken. If it failed c.Connected,
// Fill and WriteErr tell why. Closing c ends the handshake. The server name is
// sent as SNI instead of the context's, unless it is empty.
func (cl *Client) Begin(c *loop.Conn, then *loop.Task, serverName string) {
	if serverName == "" {
		serverName = cl.sni
	}
	c.Bind(then)
	d := &dial{cl: cl, c: c, name: serverName}
	t := then.Loop().Go(d)
	d.wire = c.Lower(t)
}

// dial is a client's handshake.
type dial struct {
	cl   *Client
	c    *loop.Conn
	wire *loop.Wire
	name string
}

// Run connects and shakes hands.
func (d *dial) Run(t *loop.Task) {
	defer d.wire.Fail(errors.New("TLS handshake: broken off")) // after Up it does nothing
	for {
		if d.c.Closed() {
			return
		}
		ok, err := d.wire.Connected()
		if err != nil {
			d.wire.Fail(err)
			return
		}
		if ok {
			break
		}
		if t.Park() != nil {
			return
		}
	}
	a := &conn{wire: d.wire, task: t}
	a.tls = tls.Client(a, d.cl.configFor(d.c.Remote().String(), d.name, func(c *certificate) *tls.Certificate { return c.keyed(a) }))
	_, _ = a.handshake() // Fail has told
}

// Handshake secures nc, which is no loop's and belongs to the caller no more.
// It ends when ctx does. The server name is as in Begin; protocols, unless
// there are none, are offered in ALPN instead of the context's.
func (cl *Client) Handshake(ctx context.Context, nc net.Conn, serverName string, protocols []string) (net.Conn, error) {
	if serverName == "" {
		serverName = cl.sni
	}
	cfg := cl.configFor(nc.RemoteAddr().String(), serverName, func(c *certificate) *tls.Certificate { return c.tls })
	if len(protocols) > 0 {
		cfg.NextProtos = protocols
	}
	secure := tls.Client(nc, cfg)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secure, nil
}

// configFor is the configuration of one handshake with remote. own makes the
// client's certificate one for this handshake.
func (cl *Client) configFor(remote, name string, own func(*certificate) *tls.Certificate) *tls.Config {
	cfg := cl.config.Clone()
	cfg.ServerName = name
	if cl.sessions != nil {
		cfg.ClientSessionCache = endpointSessions{cl.sessions, remote + " " + name}
	}
	if len(cl.certs.all) > 0 {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return own(cl.certs.all[0]), nil
		}
	}
	if cl.verify != nil {
		wanted := ""
		if cl.checkName {
			wanted = name
		}
		cfg.VerifyConnection = func(st tls.ConnectionState) error {
			if cl.checkName && name == "" && len(cl.verify.sans) == 0 {
				return errors.New("no server name is known that the certificate could be checked for")
			}
			return cl.verify.check(&st, wanted)
		}
	}
	return cfg
}

// endpointSessions keeps the sessions of one endpoint and server name apart.
type endpointSessions struct {
	tls.ClientSessionCache
	key string
}

// Get is for crypto/tls.
func (e endpointSessions) Get(string) (*tls.ClientSessionState, bool) {
	return e.ClientSessionCache.Get(e.key)
}

// Put is for crypto/tls.
func (e endpointSessions) Put(_ string, s *tls.ClientSessionState) {
	e.ClientSessionCache.Put(e.key, s)
}
