// Package v1alpha1 holds the one resource of Sundog's own: ShadowPolicy, in
// version v1alpha1 of the group sundog.dev.
//
// A ShadowPolicy says of a route what neither Istio's VirtualService nor the
// Gateway API's HTTPRoute has a field for: which requests are mirrored, what is
// changed in the copies, what they may cost, and how the answers are compared.
// It is attached to the route, which stays as it is.
//
// The package is types alone. The custom resource definition beside them is
// generated from them; its schema is the only place that says which values a
// field takes and what it is by default, to the API server and to Sundog, which
// reads it from CRD. Nothing here reads, checks or converts.
//
// +groupName=sundog.dev
package v1alpha1

import _ "embed" // for the definition

//go:generate go tool -modfile=../../tools/controller-gen.mod controller-gen crd:allowDangerousTypes=true paths=. output:crd:dir=.

// Group and Version are those of apiVersion, "sundog.dev/v1alpha1"; Kind is
// that of the only resource in them.
const (
	Group   = "sundog.dev"
	Version = "v1alpha1"
	Kind    = "ShadowPolicy"
)

//go:embed sundog.dev_shadowpolicies.yaml
var crd string

// CRD is the custom resource definition of ShadowPolicy, as YAML.
func CRD() []byte { return []byte(crd) }
