package credentials

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/sundog-mesh/sundog/internal/config"
)

// Names of Istio's SDS.
const (
	kubernetes = "kubernetes://" // a Secret in the proxy's namespace
	// gatewaySecret stands before the namespace and name of a Secret that a
	// Gateway of the Gateway API may use.
	gatewaySecret = "kubernetes-gateway://"
	rootSuffix    = "-cacert"    // its certificate authorities
	fileCert      = "file-cert:" // certificate and key files, joined by "~"
	fileRoot      = "file-root:" // a file of certificate authorities
	// SystemRoots is the path that stands for the authorities that the machine
	// trusts.
	SystemRoots = "system"
)

// Error is why there is no secret, and what to do.
type Error struct{ Message, Hint string }

func (e *Error) Error() string { return e.Message }

// A secret is a Secret of the user's: what messages call it, and what it holds.
type secret struct {
	object string
	data   map[string][]byte
}

func (s secret) String() string { return s.object }

// Store finds and checks credentials, and remembers those that were asked for.
type Store struct {
	set       *config.Set
	namespace string
	secrets   map[string]secret        // by namespace/name
	made      map[string]*tlsv3.Secret // by the name of SDS
}

// New gives a Store over the set for a proxy in the namespace, which is the
// only one whose Secrets Istio hands to it.
func New(set *config.Set, namespace string) *Store {
	s := &Store{
		set: set, namespace: namespace,
		secrets: make(map[string]secret), made: make(map[string]*tlsv3.Secret),
	}
	for _, o := range set.Secrets {
		s.secrets[o.Namespace+"/"+o.Name] = secret{o.String(), o.Spec.Data}
	}
	return s
}

// Secrets are all that were asked for and found, in the order of their names.
func (s *Store) Secrets() []*tlsv3.Secret {
	var out []*tlsv3.Secret
	for _, m := range s.made {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *tlsv3.Secret) int { return cmp.Compare(a.GetName(), b.GetName()) })
	return out
}

// Pair is the name of the secret that holds certificate and key of the
// credentialName.
func (s *Store) Pair(credential string) (string, *Error) {
	name := kubernetes + strings.TrimPrefix(credential, kubernetes)
	if strings.HasPrefix(credential, gatewaySecret) {
		name = credential
	}
	if s.made[name] != nil {
		return name, nil
	}
	o, err := s.find(credential)
	if err != nil {
		return "", err
	}
	certKey, keyKey := "cert", "key"
	if len(o.data[certKey]) == 0 || len(o.data[keyKey]) == 0 {
		certKey, keyKey = "tls.crt", "tls.key"
	}
	cert, key := o.data[certKey], o.data[keyKey]
	if len(cert) == 0 || len(key) == 0 {
		return "", &Error{
			fmt.Sprintf("%s has no certificate with its key", o),
			"it needs tls.crt and tls.key, or cert and key",
		}
	}
	if err := checkPair(cert, key); err != nil {
		return "", &Error{
			fmt.Sprintf("%s: %s and %s: %v", o, certKey, keyKey, err),
			"make it anew with kubectl create secret tls, of a certificate and its own key, both PEM",
		}
	}
	s.add(name, pair(cert, key))
	return name, nil
}

// Roots is the name of the secret that holds the certificate authorities of
// the credentialName: the Secret of that name with -cacert behind it, else the
// credential's own.
func (s *Store) Roots(credential string) (string, *Error) {
	base := strings.TrimPrefix(credential, kubernetes)
	name := kubernetes + base + rootSuffix
	if s.made[name] != nil {
		return name, nil
	}
	o, ok := s.lookup(base + rootSuffix)
	if !ok {
		var err *Error
		if o, err = s.find(base); err != nil {
			return "", err
		}
	}
	rootKey, crlKey := "cacert", "crl"
	if len(o.data[rootKey]) == 0 {
		rootKey, crlKey = "ca.crt", "ca.crl"
	}
	roots := o.data[rootKey]
	if len(roots) == 0 {
		return "", &Error{
			fmt.Sprintf("%s has no certificate authorities to check the other side with", o),
			fmt.Sprintf("add ca.crt or cacert to it, or a Secret %s%s that has one", base, rootSuffix),
		}
	}
	if err := checkRoots(roots); err != nil {
		return "", &Error{fmt.Sprintf("%s: %s: %v", o, rootKey, err), "it takes certificates as PEM, one after another"}
	}
	crl := o.data[crlKey]
	if err := checkRevocations(crl); err != nil {
		return "", &Error{fmt.Sprintf("%s: %s: %v", o, crlKey, err), "it takes revocation lists as PEM"}
	}
	s.add(name, authorities(inline(roots), crl))
	return name, nil
}

// PairOfFiles is the name of the secret that holds a certificate and its key
// from two files.
func (s *Store) PairOfFiles(certPath, keyPath string) (string, *Error) {
	name := fileCert + certPath + "~" + keyPath
	if s.made[name] != nil {
		return name, nil
	}
	cert, err := s.file(certPath)
	if err != nil {
		return "", err
	}
	key, err := s.file(keyPath)
	if err != nil {
		return "", err
	}
	if err := checkPair(cert, key); err != nil {
		return "", &Error{
			fmt.Sprintf("%s and %s: %v", certPath, keyPath, err), "give a certificate and its own key, both PEM",
		}
	}
	s.add(name, pair(cert, key))
	return name, nil
}

// RootsOfFile is the name of the secret that holds the certificate authorities
// of a file; SystemRoots for those that the machine trusts.
func (s *Store) RootsOfFile(path string) (string, *Error) {
	name := fileRoot + path
	if s.made[name] != nil {
		return name, nil
	}
	if path == SystemRoots {
		bundle := cmp.Or(s.set.SystemRoots, "/etc/ssl/certs/ca-certificates.crt")
		s.add(name, authorities(&core.DataSource{Specifier: &core.DataSource_Filename{Filename: bundle}}, nil))
		return name, nil
	}
	roots, err := s.file(path)
	if err != nil {
		return "", err
	}
	if err := checkRoots(roots); err != nil {
		return "", &Error{fmt.Sprintf("%s: %v", path, err), "it takes certificates as PEM, one after another"}
	}
	s.add(name, authorities(inline(roots), nil))
	return name, nil
}

// Revocations is the content of a file of revocation lists.
func (s *Store) Revocations(path string) (*core.DataSource, *Error) {
	data, err := s.file(path)
	if err != nil {
		return nil, err
	}
	if err := checkRevocations(data); err != nil {
		return nil, &Error{fmt.Sprintf("%s: %v", path, err), "it takes revocation lists as PEM"}
	}
	return inline(data), nil
}

func (s *Store) add(name string, m *tlsv3.Secret) {
	m.Name = name
	s.made[name] = m
}

func (s *Store) file(path string) ([]byte, *Error) {
	f, ok := s.set.Files[path]
	switch {
	case !ok:
		return nil, &Error{path + " was not read", ""}
	case f.Reason != "":
		return nil, &Error{path + ": " + f.Reason, "give the path as this process sees it, or use a Secret and credentialName"}
	}
	return f.Data, nil
}

func (s *Store) lookup(name string) (secret, bool) {
	namespace := s.namespace
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, rest
	}
	o, ok := s.secrets[namespace+"/"+name]
	return o, ok && namespace == s.namespace
}

// find looks a Secret up where Istio does, and says where else there is one.
func (s *Store) find(credential string) (secret, *Error) {
	name := strings.TrimPrefix(credential, kubernetes)
	if whole, ok := strings.CutPrefix(credential, gatewaySecret); ok {
		if o, ok := s.secrets[whole]; ok {
			return o, nil
		}
		return secret{}, &Error{"there is no Secret " + whole, "give its file with -f"}
	}
	if scheme, _, ok := strings.Cut(name, "://"); ok {
		return secret{}, &Error{fmt.Sprintf("%s:// is not done: only Secrets are read", scheme), "name a Secret"}
	}
	if o, ok := s.lookup(name); ok {
		return o, nil
	}
	namespace := s.namespace
	if ns, rest, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, rest
	}
	if namespace != s.namespace {
		return secret{}, &Error{
			fmt.Sprintf("the Secret %s/%s is not in the proxy's namespace %s, and Istio hands out no other", namespace, name, s.namespace),
			fmt.Sprintf("put it into the namespace %s, or run with --namespace %s", s.namespace, namespace),
		}
	}
	var others []string
	for _, o := range s.set.Secrets {
		if o.Name == name {
			others = append(others, o.Namespace)
		}
	}
	if len(others) > 0 {
		other := slices.Min(others)
		return secret{}, &Error{
			fmt.Sprintf("there is no Secret %s/%s; there is %s/%s, but Istio looks in the namespace of the proxy", s.namespace, name, other, name),
			fmt.Sprintf("run with --namespace %s, or put the Secret into %s", other, s.namespace),
		}
	}
	return secret{}, &Error{
		fmt.Sprintf("there is no Secret %s/%s", s.namespace, name),
		fmt.Sprintf("give its file with -f; kubectl get secret -n %s %s -o yaml writes one", s.namespace, name),
	}
}
