// Package config holds the nouns of the user: the Istio, Gateway API, Kubernetes
// and Sundog objects of one configuration, how they are loaded from files, and the Problems in
// them with file and line.
//
// Load reads files into a Set and checks every object by itself, strictly.
// What takes several objects to judge (a mirror to a host that is not there)
// is judged by translate, which looks those up anyway. The package never
// decides how traffic is routed.
package config

import (
	"net/netip"
	"time"

	"github.com/sundog-mesh/sundog/api/v1alpha1"
	meshconfig "istio.io/api/mesh/v1alpha1"
	istio "istio.io/api/networking/v1alpha3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Set is one complete configuration as the user wrote it, each list in the
// order of namespace and name. It is immutable once loaded.
type Set struct {
	VirtualServices  []*Object[*istio.VirtualService]
	DestinationRules []*Object[*istio.DestinationRule]
	Gateways         []*Object[*istio.Gateway]
	ServiceEntries   []*Object[*istio.ServiceEntry]
	WorkloadEntries  []*Object[*istio.WorkloadEntry]

	// The Gateway API's objects. Their Specs have every default filled in.
	HTTPRoutes      []*Object[*gatewayv1.HTTPRouteSpec]
	KubeGateways    []*Object[*gatewayv1.GatewaySpec]
	ReferenceGrants []*Object[*gatewayv1.ReferenceGrantSpec]

	// ShadowPolicies have every default filled in.
	ShadowPolicies []*Object[*v1alpha1.ShadowPolicySpec]

	Services       []*Object[*corev1.Service]
	Deployments    []*Object[*appsv1.Deployment]
	EndpointSlices []*Object[*discoveryv1.EndpointSlice]
	Endpoints      []*Object[*corev1.Endpoints]
	Pods           []*Object[*corev1.Pod]
	// Secrets have their stringData in their data.
	Secrets []*Object[*corev1.Secret]

	// Files holds the certificates, keys and revocation lists that Gateways and
	// DestinationRules name by path. Load reads them; Parse leaves it empty.
	Files map[string]CredentialFile
	// SystemRoots is the path of the certificate authorities that the machine
	// trusts. Load finds it; Parse leaves it empty.
	SystemRoots string

	// Mesh is never nil: Istio's defaults with the user's mesh config over them.
	Mesh *meshconfig.MeshConfig
	// Overrides are the endpoints given by --endpoint.
	Overrides []EndpointOverride
}

// Object is one object of the user's, with where it was written. For the
// Kubernetes kinds Spec is the whole typed object; for Istio's, the Gateway API's
// and Sundog's own it is the spec.
type Object[T any] struct {
	Kind, APIVersion, Namespace, Name string
	Labels, Annotations               map[string]string
	Created                           time.Time // metadata.creationTimestamp; zero in files as a rule
	Spec                              T
	Source                            *Source
}

// String is "Kind namespace/name", as Problem.Object has it.
func (o *Object[T]) String() string { return o.Kind + " " + o.Namespace + "/" + o.Name }

// Problem makes a Problem about a field of the object, found at its position.
// The field is a path from the object's root: "spec.http[0].mirror.host".
func (o *Object[T]) Problem(s Severity, field, message, hint string) Problem {
	return Problem{Severity: s, Position: o.Source.At(field), Object: o.String(), Field: field, Message: message, Hint: hint}
}

// EndpointOverride is an endpoint given on the command line for the service
// Host, or for one subset of it: httpbin/v1=127.0.0.1:28001. An override takes
// the place of all other endpoints of that service (and subset).
type EndpointOverride struct {
	Host   string // short name or FQDN
	Subset string // empty: every subset without an override of its own
	Port   int    // service port; 0: every port
	Addr   netip.AddrPort
}
