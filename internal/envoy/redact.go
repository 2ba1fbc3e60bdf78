package envoy

import (
	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// redacted is what Envoy puts in the place of each value that its API marks as
// sensitive (udpa.annotations.sensitive).
const redacted = "[redacted]"

func secretsDump(s *Snapshot, version string, at *timestamppb.Timestamp) *adminv3.SecretsConfigDump {
	out := &adminv3.SecretsConfigDump{}
	for _, m := range s.Secrets {
		out.DynamicActiveSecrets = append(out.DynamicActiveSecrets, &adminv3.SecretsConfigDump_DynamicSecret{
			Name: m.GetName(), VersionInfo: version, LastUpdated: at, Secret: packed(redact(m)),
		})
	}
	return out
}

// redact is a copy of the secret without anything that must stay secret.
func redact(m *tlsv3.Secret) *tlsv3.Secret {
	out, _ := proto.Clone(m).(*tlsv3.Secret)
	switch t := out.GetType().(type) {
	case *tlsv3.Secret_TlsCertificate:
		c := t.TlsCertificate
		redactSource(c.GetPrivateKey())
		redactSource(c.GetPassword())
		redactSource(c.GetPkcs12())
		c.PrivateKeyProvider = nil
	case *tlsv3.Secret_SessionTicketKeys:
		for _, k := range t.SessionTicketKeys.GetKeys() {
			redactSource(k)
		}
	case *tlsv3.Secret_GenericSecret:
		redactSource(t.GenericSecret.GetSecret())
		for _, s := range t.GenericSecret.GetSecrets() {
			redactSource(s)
		}
	}
	return out
}

func redactSource(d *core.DataSource) {
	if d == nil {
		return
	}
	d.WatchedDirectory = nil
	switch s := d.GetSpecifier().(type) {
	case *core.DataSource_InlineBytes:
		s.InlineBytes = []byte(redacted)
	case *core.DataSource_InlineString:
		s.InlineString = redacted
	case *core.DataSource_Filename:
		s.Filename = redacted
	case *core.DataSource_EnvironmentVariable:
		s.EnvironmentVariable = redacted
	}
}
