package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ShadowPolicy says how the requests of a route are mirrored and how the
// answers are compared. It is attached to VirtualServices and HTTPRoutes of its
// own namespace, or to single routes of them, by targetRefs. Where several
// apply to a route, one for the single route wins over one for the whole
// object, and among equals the oldest wins, then the first by name; they are
// not merged.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=sundog,shortName=shadow
// +kubebuilder:metadata:labels="gateway.networking.k8s.io/policy=Direct"
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.targetRefs[0].name`
// +kubebuilder:printcolumn:name="Percent",type=number,JSONPath=`.spec.sample.percent`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ShadowPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec ShadowPolicySpec `json:"spec"`
	// Status is written by a controller; Sundog does not read it.
	//
	// +optional
	Status PolicyStatus `json:"status,omitempty"`
}

// ShadowPolicyList is a list of ShadowPolicies.
//
// +kubebuilder:object:root=true
type ShadowPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ShadowPolicy `json:"items"`
}

// ShadowPolicySpec is what the user asks for. A part that is left out leaves
// things as the route and the flags of Sundog have them.
type ShadowPolicySpec struct {
	// TargetRefs are what the policy is attached to, in its own namespace.
	//
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	TargetRefs []TargetRef `json:"targetRefs"`

	// Sample says which requests are mirrored.
	//
	// +optional
	Sample *Sample `json:"sample,omitempty"`

	// Request says how copies differ from the requests that the primary gets.
	//
	// +optional
	Request *Request `json:"request,omitempty"`

	// Budget bounds what the copies of each mirror may cost.
	//
	// +optional
	Budget *Budget `json:"budget,omitempty"`

	// Brake says when mirroring steps down for what it costs the primary.
	//
	// +optional
	Brake *Brake `json:"brake,omitempty"`

	// Compare says how the answers of the primary and of the shadows are
	// compared. Without it they are not; an empty one, {}, compares with all defaults.
	//
	// +optional
	Compare *Compare `json:"compare,omitempty"`
}

// TargetRef names an object of the policy's namespace, or one route in it.
//
// +kubebuilder:validation:XValidation:rule="(self.group == 'networking.istio.io') == (self.kind == 'VirtualService')",message="a target is a VirtualService of networking.istio.io or an HTTPRoute of gateway.networking.k8s.io"
type TargetRef struct {
	// Group is the API group of the target.
	//
	// +kubebuilder:validation:Enum=networking.istio.io;gateway.networking.k8s.io
	Group string `json:"group"`

	// Kind of the target.
	//
	// +kubebuilder:validation:Enum=VirtualService;HTTPRoute
	Kind string `json:"kind"`

	// Name of the target.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// SectionName is the name of one route of the target: that of an entry of
	// VirtualService spec.http, or of HTTPRoute spec.rules. Without it the policy
	// is for all routes of the target.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SectionName string `json:"sectionName,omitempty"`
}

// Budget bounds what the copies of each mirror of the route may cost. What is
// over it is dropped and counted; the primary never waits. What is left out is
// as the flags of Sundog say.
type Budget struct {
	// Timeout is how long a copy may take, from its last byte to the end of its
	// answer, like 15s. Default: --shadow-timeout, 15s.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1ms')",message="a duration must be at least 1ms"
	Timeout *metav1.Duration `json:"timeout,omitempty"`

	// Buffer is how many bytes of one copy may wait for a shadow that is slower
	// than the primary, like 1Mi. Default: --shadow-buffer, 1Mi.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : quantity(self).isGreaterThan(quantity('0'))",message="must be at least 1 byte"
	Buffer *resource.Quantity `json:"buffer,omitempty"`

	// MaxRequests is how many copies of one mirror may be in flight. Default:
	// --shadow-max-requests, 1024.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxRequests *int32 `json:"maxRequests,omitempty"`

	// MaxBytes is how many bytes may wait in all copies of one mirror together,
	// like 64Mi. Default: --shadow-max-bytes, 64Mi.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : quantity(self).isGreaterThan(quantity('0'))",message="must be at least 1 byte"
	MaxBytes *resource.Quantity `json:"maxBytes,omitempty"`
}

// Brake says when mirroring steps down. The brake measures mirrored requests
// against unmirrored ones of the same route.
type Brake struct {
	// Enabled says whether there is a brake.
	//
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`

	// Ratio is how many times longer mirrored requests may surely take than
	// unmirrored ones before mirroring steps down, like 1.5. Default: --brake-ratio.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	Ratio *float64 `json:"ratio,omitempty"`

	// ControlPercent is the percentage of requests that is kept unmirrored at
	// least, as the measure. At 100 % mirrored there is none unless this asks for
	// it. Default: --control-share, 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	ControlPercent *float64 `json:"controlPercent,omitempty"`
}
