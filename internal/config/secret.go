package config

import (
	"fmt"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	corev1 "k8s.io/api/core/v1"
)

// checkSecret merges stringData into data, as the API server does. What the
// values are worth shows only where a Gateway or DestinationRule names the
// Secret.
func checkSecret(r *reporter, o *Object[*corev1.Secret]) {
	s := o.Spec
	for key, value := range sorted(s.StringData) {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[key] = []byte(value)
	}
	s.StringData = nil
	if s.Type != corev1.SecretTypeTLS {
		return
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if _, ok := s.Data[key]; !ok {
			r.missing("data", fmt.Sprintf("kubectl create secret tls %s --cert=FILE --key=FILE makes one", o.Name),
				"a Secret of type %s must have %s", s.Type, key)
		}
	}
}

// hideValues takes out of the faults what would show a part of a secret.
func hideValues(faults []strict.Fault) {
	for i := range faults {
		f := &faults[i]
		rest := strings.TrimPrefix(strings.TrimPrefix(f.Path, "stringData"), "data")
		if rest != "" && rest != f.Path && !strings.HasPrefix(f.Message, "is not base64 text") {
			f.Message, f.Hint = "must be a string", "put it in quotes"
		}
	}
}
