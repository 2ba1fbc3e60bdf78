package envoy_test

import (
	"encoding/base64"
	"strings"
	"testing"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/sundog-mesh/sundog/internal/envoy"
)

func inlined(text string) *core.DataSource {
	return &core.DataSource{Specifier: &core.DataSource_InlineBytes{InlineBytes: []byte(text)}}
}

func withSecrets(t *testing.T) *envoy.Snapshot {
	t.Helper()
	s := snapshot(t)
	s.Secrets = []*tlsv3.Secret{
		{Name: "ticket", Type: &tlsv3.Secret_SessionTicketKeys{SessionTicketKeys: &tlsv3.TlsSessionTicketKeys{
			Keys: []*core.DataSource{inlined("private-ticket")},
		}}},
		{Name: "generic", Type: &tlsv3.Secret_GenericSecret{GenericSecret: &tlsv3.GenericSecret{
			Secret:  inlined("private-generic"),
			Secrets: map[string]*core.DataSource{"k": {Specifier: &core.DataSource_InlineString{InlineString: "private-entry"}}},
		}}},
		{Name: "cert", Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inlined("public-chain"),
			PrivateKey:       inlined("private-key"),
			Password:         &core.DataSource{Specifier: &core.DataSource_Filename{Filename: "private-file"}},
			Pkcs12:           &core.DataSource{Specifier: &core.DataSource_EnvironmentVariable{EnvironmentVariable: "private-env"}},
		}}},
		{Name: "roots", Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: inlined("public-roots"),
		}}},
	}
	s.Sort()
	return s
}

func TestDumpRedactsWhatIsPrivate(t *testing.T) {
	s := withSecrets(t)
	before := proto.Clone(s.Secrets[0])
	dump, err := envoy.SelectResource(envoy.ConfigDump(s, applied()), "dynamic_active_secrets")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(dump.GetConfigs()); n != 4 {
		t.Errorf("the dump has %d secrets, not 4", n)
	}
	data, err := envoy.MarshalDump(dump)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"private-key", "private-file", "private-env", "private-ticket", "private-generic", "private-entry"} {
		if strings.Contains(string(data), text) || strings.Contains(string(data), base64.StdEncoding.EncodeToString([]byte(text))) {
			t.Errorf("the dump shows %s", text)
		}
	}
	for _, text := range []string{"public-chain", "public-roots", "[redacted]"} {
		if !strings.Contains(string(data), base64.StdEncoding.EncodeToString([]byte(text))) {
			t.Errorf("the dump does not show %s", text)
		}
	}
	if diff := cmp.Diff(before, proto.Message(s.Secrets[0]), protocmp.Transform()); diff != "" {
		t.Errorf("dumping changed the snapshot:\n%s", diff)
	}
}

func TestVersionNamesSecrets(t *testing.T) {
	version := withSecrets(t).Version()
	if again := withSecrets(t).Version(); again != version {
		t.Errorf("equal secrets, versions %s and %s", version, again)
	}
	changed := withSecrets(t)
	changed.Secrets[0].GetTlsCertificate().PrivateKey = inlined("another key")
	if changed.Version() == version {
		t.Error("another private key leaves the version as it was")
	}
}
