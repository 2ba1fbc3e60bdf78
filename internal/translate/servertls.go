package translate

import (
	"fmt"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/translate/credentials"
	"google.golang.org/protobuf/types/known/wrapperspb"
	istio "istio.io/api/networking/v1alpha3"
)

// cipherSuites are those that Istio takes for a server, for TLS 1.2. The
// suites of TLS 1.3 cannot be chosen.
func cipherSuites() []string {
	return []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
		"ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA",
	}
}

// checksClients reports whether a server of the mode looks at the certificates
// of its clients.
func checksClients(mode istio.ServerTLSSettings_TLSmode) bool {
	return mode == istio.ServerTLSSettings_MUTUAL || mode == istio.ServerTLSSettings_OPTIONAL_MUTUAL
}

// serverSocket decrypts what clients of an HTTPS server send.
func (t *translator) serverSocket(s gatewayServer) *core.TransportSocket {
	in := s.server.GetTls()
	common := &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2", "http/1.1"}, TlsParams: t.serverParameters(s)}
	for _, c := range t.serverPairs(s) {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, secretConfig(c))
	}
	if checksClients(in.GetMode()) {
		context := &tlsv3.CertificateValidationContext{
			MatchSubjectAltNames:  exactNames(in.GetSubjectAltNames()), //nolint:staticcheck // as Istio has it
			VerifyCertificateSpki: in.GetVerifyCertificateSpki(),
			VerifyCertificateHash: in.GetVerifyCertificateHash(),
		}
		if path := in.GetCaCrl(); path != "" {
			crl, err := t.credentials.Revocations(path)
			s.reportCredential(t, "caCrl", err)
			context.Crl = crl
		}
		common.ValidationContextType = combined(context, t.serverRoots(s))
	} else {
		for field, set := range map[string]bool{
			"subjectAltNames":       len(in.GetSubjectAltNames()) > 0,
			"verifyCertificateSpki": len(in.GetVerifyCertificateSpki()) > 0,
			"verifyCertificateHash": len(in.GetVerifyCertificateHash()) > 0,
		} {
			if set {
				t.report(s.object.Problem(config.Warning, s.field+".tls."+field,
					"has no effect: mode "+in.GetMode().String()+" asks clients for no certificate", "use mode MUTUAL, or remove it"))
			}
		}
	}
	return &core.TransportSocket{Name: tlsSocket, ConfigType: &core.TransportSocket_TypedConfig{
		TypedConfig: packed(&tlsv3.DownstreamTlsContext{
			CommonTlsContext:         common,
			RequireClientCertificate: wrapperspb.Bool(in.GetMode() == istio.ServerTLSSettings_MUTUAL),
		}),
	}}
}

// serverPairs are the secrets with the server's certificates: one, or one for
// each kind of key.
func (t *translator) serverPairs(s gatewayServer) []string {
	in := s.server.GetTls()
	var out []string
	add := func(field, name string, err *credentials.Error) {
		s.reportCredential(t, field, err)
		out = append(out, name)
	}
	switch {
	case in.GetCredentialName() != "":
		name, err := t.credentials.Pair(in.GetCredentialName())
		add("credentialName", name, err)
	case len(in.GetCredentialNames()) > 0:
		for i, c := range in.GetCredentialNames() {
			name, err := t.credentials.Pair(c)
			add(fmt.Sprintf("credentialNames[%d]", i), name, err)
		}
	case len(in.GetTlsCertificates()) > 0:
		for i, c := range in.GetTlsCertificates() {
			name, err := t.credentials.PairOfFiles(c.GetServerCertificate(), c.GetPrivateKey())
			add(fmt.Sprintf("tlsCertificates[%d]", i), name, err)
		}
	default:
		name, err := t.credentials.PairOfFiles(in.GetServerCertificate(), in.GetPrivateKey())
		add("serverCertificate", name, err)
	}
	return out
}

// serverRoots is the secret with the authorities that sign clients.
func (t *translator) serverRoots(s gatewayServer) string {
	in := s.server.GetTls()
	field, files := "caCertificates", in.GetCaCertificates()
	var name string
	var err *credentials.Error
	if c := in.GetTlsCertificates(); files == "" && len(c) > 0 {
		field, files = "tlsCertificates[0].caCertificates", c[0].GetCaCertificates()
	}
	switch {
	case in.GetCaCertCredentialName() != "":
		field = "caCertCredentialName"
		name, err = t.credentials.Roots(in.GetCaCertCredentialName())
	case in.GetCredentialName() != "":
		field = "credentialName"
		name, err = t.credentials.Roots(in.GetCredentialName())
	case len(in.GetCredentialNames()) > 0:
		field = "credentialNames[0]"
		name, err = t.credentials.Roots(in.GetCredentialNames()[0])
	case files != "":
		name, err = t.credentials.RootsOfFile(files)
	default:
		err = &credentials.Error{Message: "is needed: mode " + in.GetMode().String() + " checks clients", Hint: "name the file with the certificate authorities that sign them"}
	}
	s.reportCredential(t, field, err)
	return name
}

// serverParameters are versions and cipher suites; nil for Envoy's defaults,
// TLS 1.2 and 1.3.
func (t *translator) serverParameters(s gatewayServer) *tlsv3.TlsParameters {
	in := s.server.GetTls()
	least, most := in.GetMinProtocolVersion(), in.GetMaxProtocolVersion()
	const oldest = istio.ServerTLSSettings_TLSV1_2
	auto := istio.ServerTLSSettings_TLS_AUTO
	if least != auto && least < oldest {
		t.report(s.object.Problem(config.Warning, s.field+".tls.minProtocolVersion",
			least.String()+" is not safe and not offered: TLS 1.2 is the least", "write TLSV1_2"))
		least = oldest
	}
	if most != auto && most < max(least, oldest) {
		t.report(s.object.Problem(config.Error, s.field+".tls.maxProtocolVersion",
			most.String()+" leaves no version of TLS that is offered", "leave it out, or write TLSV1_3"))
	}
	var suites []string
	for i, suite := range in.GetCipherSuites() {
		if !slices.Contains(cipherSuites(), suite) {
			t.report(s.object.Problem(config.Warning, fmt.Sprintf("%s.tls.cipherSuites[%d]", s.field, i),
				"there is no cipher suite "+suite+": it is left out", "those of TLS 1.2 are "+strings.Join(cipherSuites(), ", ")))
		} else if !slices.Contains(suites, suite) {
			suites = append(suites, suite)
		}
	}
	if least == auto && most == auto && len(suites) == 0 {
		return nil
	}
	return &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TlsProtocol(least),
		TlsMaximumProtocolVersion: tlsv3.TlsParameters_TlsProtocol(most),
		CipherSuites:              suites,
	}
}

func (s gatewayServer) reportCredential(t *translator, field string, err *credentials.Error) {
	if err != nil {
		t.report(s.object.Problem(config.Error, s.at(".tls."+field), err.Message, err.Hint))
	}
}
