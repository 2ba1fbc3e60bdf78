package tlsconn

import (
	"crypto/tls"
	"errors"
	"slices"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/sundog-mesh/sundog/internal/loop"
)

// Server is a compiled DownstreamTlsContext. It is immutable but for Inherit.
type Server struct {
	// Ignored names the fields of the context that have no effect.
	Ignored []string

	config   *tls.Config
	noALPN   *tls.Config // for clients that know none of the protocols
	tickets  *tls.Config // seals tickets, nothing else
	certs    *certificates
	alpn     []string
	identity [32]byte
	needsSNI bool
}

// CompileServer makes a Server of Envoy's context. Its errors name the field,
// file or secret. It reads files, so it is not for a loop's goroutine.
func CompileServer(ctx *tlsv3.DownstreamTlsContext, secrets Secrets) (*Server, error) {
	c := newCompiler(secrets)
	c.only("", ctx, only{
		"common_tls_context", "require_client_certificate", "session_ticket_keys", "session_ticket_keys_sds_secret_config",
		"disable_stateless_session_resumption", "disable_stateful_session_resumption", "ocsp_staple_policy", "require_sni",
		"full_scan_certs_on_sni_mismatch",
	}, only{"session_timeout", "prefer_client_ciphers"})
	common := ctx.GetCommonTlsContext()
	s := &Server{alpn: common.GetAlpnProtocols(), needsSNI: ctx.GetRequireSni().GetValue()}
	cfg := c.common(common)
	s.certs = c.certificates(common)
	if len(s.certs.all) == 0 && len(c.errs) == 0 {
		c.fail("common_tls_context.tls_certificates", "is missing: a server needs a certificate")
	}
	if p := ctx.GetOcspStaplePolicy(); p == tlsv3.DownstreamTlsContext_MUST_STAPLE {
		c.fail("ocsp_staple_policy", "MUST_STAPLE is not supported; use LENIENT_STAPLING")
	} else if p == tlsv3.DownstreamTlsContext_STRICT_STAPLING {
		c.ignore("ocsp_staple_policy")
	}
	v := c.validation("common_tls_context", common, true)
	require := ctx.GetRequireClientCertificate().GetValue()
	c.note([]byte{boolByte(require)})
	switch {
	case require:
		cfg.ClientAuth = tls.RequireAnyClientCert
	case v != nil:
		cfg.ClientAuth = tls.RequestClientCert
	}
	if v != nil {
		if !v.hideCAs {
			cfg.ClientCAs = v.roots
		}
		cfg.VerifyConnection = func(st tls.ConnectionState) error { return v.check(&st, "") }
	}
	s.tickets = c.tickets(ctx)
	s.identity = c.identity()
	s.Ignored = c.ignored
	if err := c.err("downstream TLS context"); err != nil {
		return nil, err
	}
	s.finish(cfg, ctx.GetDisableStatelessSessionResumption())
	return s, nil
}

func (s *Server) finish(cfg *tls.Config, noTickets bool) {
	cfg.SessionTicketsDisabled = noTickets
	cfg.WrapSession = func(st tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		return s.tickets.EncryptTicket(st, ss)
	}
	cfg.UnwrapSession = func(id []byte, st tls.ConnectionState) (*tls.SessionState, error) {
		return s.tickets.DecryptTicket(id, st)
	}
	cfg.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		a, ok := h.Conn.(*conn)
		if !ok {
			return nil, errors.New("tlsconn: not a connection of this package")
		}
		return s.certs.pick(h).keyed(a), nil
	}
	s.noALPN = cfg.Clone()
	s.noALPN.NextProtos = nil
	s.config = cfg
	s.config.GetConfigForClient = s.choose
}

// choose lets a client in that offers none of the protocols, as Envoy does.
func (s *Server) choose(h *tls.ClientHelloInfo) (*tls.Config, error) {
	if s.needsSNI && h.ServerName == "" {
		return nil, errors.New("the client names no server (SNI), which require_sni demands")
	}
	for _, p := range h.SupportedProtos {
		if slices.Contains(s.alpn, p) {
			return nil, nil
		}
	}
	return s.noALPN, nil
}

// Inherit takes the ticket keys of the Server that s replaces, so that its
// clients may resume their sessions. It does so only if what they were
// authenticated by is the same: certificates, keys, and the rules for clients.
// It reports whether it did. Call it before s is used.
func (s *Server) Inherit(old *Server) bool {
	if old == nil || s.identity != old.identity {
		return false
	}
	s.tickets = old.tickets
	return true
}

// Handshake secures c. It runs in t, to which c is bound, and parks; t's
// deadline bounds it. When it returns without an error c carries plain text;
// with one c is of no more use, and the client has been told why.
func (s *Server) Handshake(t *loop.Task, c *loop.Conn) (Info, error) {
	a := &conn{wire: c.Lower(t), task: t, server: true}
	a.tls = tls.Server(a, s.config)
	return a.handshake()
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
