package config

import (
	_ "embed" // for the schemas
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const gatewayGroup = gatewayv1.GroupName

//go:embed gatewayapi.yaml
var gatewaySchemas []byte

// gatewayKind reads a kind of the Gateway API, of which T is the spec. Specs in
// a Set have every default of the definition filled in.
func gatewayKind[T any](name string, list func(*Set) *[]*Object[*T], check func(*reporter, *Object[*T])) kind {
	var s *schema // of the spec; read with the first object
	return kind{
		group: gatewayGroup, name: name, versions: []string{"v1", "v1beta1"},
		shape: func(c *strict.Shapes) *strict.Shape {
			return strict.Object(
				strict.Named{Name: "apiVersion", Shape: strict.String()},
				strict.Named{Name: "kind", Shape: strict.String()},
				strict.Named{Name: "metadata", Shape: c.Type(reflect.TypeFor[metav1.ObjectMeta]())},
				strict.Named{Name: "spec", Shape: c.Type(reflect.TypeFor[T]())},
				strict.Named{Name: "status", Shape: strict.Anything()},
			)
		},
		read: func(h header, clean map[string]any) (object, error) {
			if s == nil {
				var all map[string]*schema
				if err := yaml.Unmarshal(gatewaySchemas, &all); err != nil {
					return nil, fmt.Errorf("reading the definitions: %w", err)
				}
				s = all[name]
			}
			spec, ok := clean["spec"]
			if !ok {
				h.r.missing("spec", "", "is required")
				spec = map[string]any{}
				h.r.errors = append(h.r.errors, "spec")
			}
			s.check(h.r, "spec", spec)
			s.complete(spec)
			data, err := json.Marshal(spec)
			if err != nil {
				return nil, err
			}
			typed := new(T)
			if err := json.Unmarshal(data, typed); err != nil {
				return nil, err
			}
			return newObject(h, typed, list, check), nil
		},
	}
}

// checkKubeGateway checks what the schema cannot say.
func checkKubeGateway(r *reporter, o *Object[*gatewayv1.GatewaySpec]) {
	type key struct {
		port     gatewayv1.PortNumber
		protocol gatewayv1.ProtocolType
		hostname gatewayv1.Hostname
	}
	names, keys := map[string]int{}, map[key]int{}
	for i, l := range o.Spec.Listeners {
		path := fmt.Sprintf("spec.listeners[%d]", i)
		checkUnique(r, path+".name", "listener name", "spec.listeners", names, string(l.Name), i)
		k := key{l.Port, l.Protocol, or(l.Hostname)}
		if first, ok := keys[k]; ok {
			r.errorf(path, "give it another port or hostname", "port, protocol and hostname are also those of spec.listeners[%d]", first)
		} else {
			keys[k] = i
		}
		checkListenerTLS(r, path, &l)
		if l.AllowedRoutes == nil || l.AllowedRoutes.Namespaces == nil {
			continue
		}
		if s := l.AllowedRoutes.Namespaces.Selector; s != nil {
			if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
				r.errorf(path+".allowedRoutes.namespaces.selector", "", "the selector is not valid: %v", err)
			}
		} else if or(l.AllowedRoutes.Namespaces.From) == gatewayv1.NamespacesFromSelector {
			r.missing(path+".allowedRoutes.namespaces", "", "selector is required when from is Selector")
		}
	}
}

func checkListenerTLS(r *reporter, path string, l *gatewayv1.Listener) {
	mode := gatewayv1.TLSModeType("")
	if l.TLS != nil {
		mode = or(l.TLS.Mode)
	}
	switch l.Protocol {
	case gatewayv1.HTTPProtocolType, gatewayv1.TCPProtocolType, gatewayv1.UDPProtocolType:
		if l.TLS != nil {
			r.errorf(path+".tls", "use protocol HTTPS, or remove tls", "a listener of protocol %s has no tls", l.Protocol)
		}
		if l.Hostname != nil && l.Protocol != gatewayv1.HTTPProtocolType {
			r.errorf(path+".hostname", "", "a listener of protocol %s has no hostname", l.Protocol)
		}
		return
	case gatewayv1.HTTPSProtocolType:
		if l.TLS == nil {
			r.missing(path, "tls.certificateRefs names the Secret with its certificate", "a listener of protocol HTTPS must have tls")
			return
		}
		if mode == gatewayv1.TLSModePassthrough {
			r.errorf(path+".tls.mode", "write Terminate, or use protocol TLS", "a listener of protocol HTTPS ends TLS itself")
			return
		}
	}
	if l.TLS != nil && mode == gatewayv1.TLSModeTerminate && len(l.TLS.CertificateRefs)+len(l.TLS.Options) == 0 {
		r.missing(path+".tls", "name a Secret that has the certificate", "certificateRefs is required")
	}
}

// or is what p points to, else the zero value.
func or[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
