package tlsconn

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"hash"
	"os"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Secrets finds what an SDS configuration names; nil when there is none of
// that name.
type Secrets func(name string) *tlsv3.Secret

// compiler collects what is wrong with a context, all of it.
type compiler struct {
	secrets Secrets
	errs    []error
	ignored []string
	sum     hash.Hash // of what sessions are authenticated by
}

func newCompiler(secrets Secrets) *compiler { return &compiler{secrets: secrets, sum: sha256.New()} }

func (c *compiler) fail(field, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("%s "+format, append([]any{field}, args...)...))
}

func (c *compiler) ignore(field string) { c.ignored = append(c.ignored, field+" has no effect") }

func (c *compiler) err(what string) error {
	if len(c.errs) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", what, errors.Join(c.errs...))
}

// note adds p to the identity.
func (c *compiler) note(p []byte) {
	size := len(p)
	_, _ = c.sum.Write([]byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)})
	_, _ = c.sum.Write(p)
}

func (c *compiler) noteProto(m proto.Message) {
	p, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		c.errs = append(c.errs, err)
	}
	c.note(p)
}

func (c *compiler) identity() [32]byte { return [32]byte(c.sum.Sum(nil)) }

// only are names of fields.
type only []string

// only fails for the fields of m that are set and not done, since to leave them
// out might weaken what the user has asked for; those that are harmless to
// leave out are ignored.
func (c *compiler) only(at string, m proto.Message, done, harmless only) {
	if at != "" {
		at += "."
	}
	r := m.ProtoReflect()
	var unknown, ignored []string
	r.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		switch name := string(f.Name()); {
		case slices.Contains(done, name):
		case slices.Contains(harmless, name):
			ignored = append(ignored, name)
		default:
			unknown = append(unknown, name)
		}
		return true
	})
	slices.Sort(unknown)
	slices.Sort(ignored)
	for _, name := range unknown {
		c.fail(at+name, "is not supported")
	}
	for _, name := range ignored {
		c.ignore(at + name)
	}
	if len(r.GetUnknown()) > 0 {
		c.fail(strings.TrimSuffix(at, "."), "has a field that this version does not know")
	}
}

// data is the content of d, nil after a failure.
func (c *compiler) data(at string, d *corev3.DataSource) []byte {
	var p []byte
	switch s := d.GetSpecifier().(type) {
	case nil:
		c.fail(at, "is missing")
		return nil
	case *corev3.DataSource_Filename:
		var err error
		if p, err = os.ReadFile(s.Filename); err != nil {
			c.fail(at, "cannot be read: %w", err)
			return nil
		}
	case *corev3.DataSource_InlineBytes:
		p = s.InlineBytes
	case *corev3.DataSource_InlineString:
		p = []byte(s.InlineString)
	case *corev3.DataSource_EnvironmentVariable:
		v, ok := os.LookupEnv(s.EnvironmentVariable)
		if !ok {
			c.fail(at, "names the environment variable %q, which is not set", s.EnvironmentVariable)
			return nil
		}
		p = []byte(v)
	}
	if len(p) == 0 {
		c.fail(at, "is empty")
		return nil
	}
	c.note(p)
	return p
}

// from says where data of a field came from, for errors.
func from(at string, d *corev3.DataSource) string {
	if f := d.GetFilename(); f != "" {
		return fmt.Sprintf("%s (%s)", at, f)
	}
	return at
}

// secret finds what an SDS configuration names.
func (c *compiler) secret(at string, s *tlsv3.SdsSecretConfig) *tlsv3.Secret {
	var found *tlsv3.Secret
	if c.secrets != nil {
		found = c.secrets(s.GetName())
	}
	if found == nil {
		c.fail(at, "names the secret %q, which does not exist", s.GetName())
	}
	return found
}

// common compiles what does not depend on the side.
func (c *compiler) common(ctx *tlsv3.CommonTlsContext) *tls.Config {
	const at = "common_tls_context"
	c.only(at, ctx, only{
		"tls_params", "tls_certificates", "tls_certificate_sds_secret_configs", "validation_context",
		"validation_context_sds_secret_config", "combined_validation_context", "alpn_protocols",
	}, only{"key_log"})
	for i, p := range ctx.GetAlpnProtocols() {
		if p == "" || len(p) > 255 {
			c.fail(fmt.Sprintf("%s.alpn_protocols[%d]", at, i), "must have 1 to 255 bytes")
		}
	}
	cfg := &tls.Config{
		NextProtos: ctx.GetAlpnProtocols(),
		// Small records first would help a slow reader of large answers a
		// little, and cost everybody.
		DynamicRecordSizingDisabled: true,
	}
	c.params(at+".tls_params", ctx.GetTlsParams(), cfg)
	return cfg
}

// tickets makes the configuration that seals tickets.
func (c *compiler) tickets(ctx *tlsv3.DownstreamTlsContext) *tls.Config {
	cfg := &tls.Config{}
	at, keys := "session_ticket_keys", ctx.GetSessionTicketKeys()
	if sds := ctx.GetSessionTicketKeysSdsSecretConfig(); sds != nil {
		at = fmt.Sprintf("secret %q", sds.GetName())
		s := c.secret("session_ticket_keys_sds_secret_config", sds)
		if s == nil {
			return cfg
		}
		if keys = s.GetSessionTicketKeys(); keys == nil {
			c.fail(at, "has no session_ticket_keys")
		}
	}
	if keys == nil {
		return cfg // keys of its own, a new one each day
	}
	var all [][32]byte
	for i, d := range keys.GetKeys() {
		at := fmt.Sprintf("%s.keys[%d]", at, i)
		p := c.data(at, d)
		if p != nil && len(p) != 80 {
			c.fail(at, "has %d bytes; it must be 80", len(p))
		}
		all = append(all, sha256.Sum256(p))
	}
	if len(all) == 0 {
		c.fail(at, "has no keys")
		return cfg
	}
	cfg.SetSessionTicketKeys(all)
	return cfg
}
