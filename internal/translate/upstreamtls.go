package translate

import (
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/sundog-mesh/sundog/internal/config"
	"github.com/sundog-mesh/sundog/internal/translate/credentials"
	istio "istio.io/api/networking/v1alpha3"
)

// tlsSocket is Envoy's name of the transport socket.
const tlsSocket = "envoy.transport_sockets.tls"

// setUpstreamTLS encrypts the cluster's connections as the rule says. Without
// an sni the Host header of the request is it, and without names either, the
// certificate must be for that host.
func (t *translator) setUpstreamTLS(c *cluster.Cluster, h *httpv3.HttpProtocolOptions, svc *service, set settings) {
	in := set.tls
	mutual := in.GetMode() == istio.ClientTLSSettings_MUTUAL
	if in == nil || !mutual && in.GetMode() != istio.ClientTLSSettings_SIMPLE {
		return
	}
	common := &tlsv3.CommonTlsContext{TlsParams: &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
	}}
	names := in.GetSubjectAltNames()
	skip := in.GetInsecureSkipVerify().GetValue()
	if auto := (&core.UpstreamHttpProtocolOptions{AutoSni: in.GetSni() == ""}); auto.AutoSni {
		auto.AutoSanValidation = len(names) == 0 && !skip
		h.UpstreamHttpProtocolOptions = auto
	}
	if len(names) == 0 && svc.entry != nil {
		names = svc.entry.Spec.GetSubjectAltNames()
	}
	if mutual {
		name, err := t.clientPair(in)
		t.reportCredential(set, tlsField(in.GetCredentialName() != "", "clientCertificate"), err)
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{secretConfig(name)}
	}
	if !skip {
		name, err := t.clientRoots(in)
		t.reportCredential(set, tlsField(in.GetCredentialName() != "", "caCertificates"), err)
		context := &tlsv3.CertificateValidationContext{MatchSubjectAltNames: exactNames(names)} //nolint:staticcheck // as Istio has it
		if path := in.GetCaCrl(); path != "" && in.GetCredentialName() == "" {
			crl, err := t.credentials.Revocations(path)
			t.reportCredential(set, "caCrl", err)
			context.Crl = crl
		}
		common.ValidationContextType = combined(context, name)
	}
	if _, http2 := h.GetExplicitHttpConfig().GetProtocolConfig().(*httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions); http2 {
		common.AlpnProtocols = []string{"h2"}
	}
	c.TransportSocket = &core.TransportSocket{Name: tlsSocket, ConfigType: &core.TransportSocket_TypedConfig{
		TypedConfig: packed(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: in.GetSni()}),
	}}
}

// tlsField is the field that a credential comes from.
func tlsField(named bool, file string) string {
	if named {
		return "credentialName"
	}
	return file
}

func (t *translator) clientPair(in *istio.ClientTLSSettings) (string, *credentials.Error) {
	if name := in.GetCredentialName(); name != "" {
		return t.credentials.Pair(name)
	}
	return t.credentials.PairOfFiles(in.GetClientCertificate(), in.GetPrivateKey())
}

func (t *translator) clientRoots(in *istio.ClientTLSSettings) (string, *credentials.Error) {
	if name := in.GetCredentialName(); name != "" {
		return t.credentials.Roots(name)
	}
	if path := in.GetCaCertificates(); path != "" {
		return t.credentials.RootsOfFile(path)
	}
	return t.credentials.RootsOfFile(credentials.SystemRoots)
}

// reportCredential tells why a rule's credential cannot be used. The problem
// is an Error, so the snapshot that lacks it serves nobody.
func (t *translator) reportCredential(set settings, field string, err *credentials.Error) {
	if err != nil {
		t.report(set.tlsObject.Problem(config.Error, set.tlsField+"."+field, err.Message, err.Hint))
	}
}

// secretConfig names a secret that comes over the same stream as everything.
func secretConfig(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &core.ConfigSource{
		ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}},
		ResourceApiVersion:    core.ApiVersion_V3,
	}}
}

// combined is a validation context whose authorities are those of a secret.
func combined(context *tlsv3.CertificateValidationContext, roots string) *tlsv3.CommonTlsContext_CombinedValidationContext {
	return &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         context,
			ValidationContextSdsSecretConfig: secretConfig(roots),
		},
	}
}

func exactNames(names []string) []*matcher.StringMatcher {
	var out []*matcher.StringMatcher
	for _, n := range names {
		out = append(out, &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: n}})
	}
	return out
}
