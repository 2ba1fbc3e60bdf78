package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// Compare says how the answers to one request are compared.
type Compare struct {
	// Enabled says whether answers are compared.
	//
	// +optional
	// +kubebuilder:default=true
	Enabled *bool `json:"enabled,omitempty"`

	// Baseline is where the measure of noise comes from. Default: none, so that
	// fields that always differ cannot be told from fields that the new version
	// changed.
	//
	// +optional
	Baseline *Baseline `json:"baseline,omitempty"`

	// Limits are what the verdict is about.
	//
	// +optional
	// +kubebuilder:default={}
	Limits *Limits `json:"limits,omitempty"`

	// MaxBody is how many bytes of a body are kept to be compared, like 256Ki. A
	// longer one is compared by its length and digest alone.
	//
	// +optional
	// +kubebuilder:default="256Ki"
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : quantity(self).isGreaterThan(quantity('0'))",message="must be at least 1 byte"
	MaxBody *resource.Quantity `json:"maxBody,omitempty"`

	// Ignore are paths of fields that are not compared, as a report writes them:
	// header.etag, body.items[].updated; * stands for any name, ** for any path.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=256
	Ignore []string `json:"ignore,omitempty"`

	// Fields say what is known of fields.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=256
	Fields []FieldRule `json:"fields,omitempty"`

	// Endpoints are path templates, like /users/{id}, under which requests are
	// counted. Paths that fit none have theirs learnt.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:Pattern="^/"
	Endpoints []string `json:"endpoints,omitempty"`

	// OpenAPIFile is an OpenAPI document on Sundog's disk whose paths are taken as
	// endpoints, too.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	OpenAPIFile string `json:"openAPIFile,omitempty"`

	// Protobuf says where the types of protobuf and gRPC messages come from.
	// Default: they are compared by the numbers of their fields.
	//
	// +optional
	Protobuf *Protobuf `json:"protobuf,omitempty"`
}

// Baseline is where the measure of noise comes from: a second service with the
// primary's own version, or the primary itself, asked again. With both, the
// primary is asked again only to confirm a difference.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.destination) && has(self.backendRef))",message="destination and backendRef exclude each other"
// +kubebuilder:validation:XValidation:rule="has(self.destination) || has(self.backendRef) || has(self.again)",message="one of destination, backendRef and again is required"
type Baseline struct {
	// Destination is a service, or a subset of it, as in a VirtualService. If the
	// route does not mirror to it, the policy adds it to the mirrors, with the
	// percentage of the others.
	//
	// +optional
	Destination *Destination `json:"destination,omitempty"`

	// BackendRef is a Service, as in an HTTPRoute, and otherwise the same.
	//
	// +optional
	BackendRef *BackendRef `json:"backendRef,omitempty"`

	// Again allows Sundog to ask the primary again.
	//
	// +optional
	Again *Again `json:"again,omitempty"`
}

// Destination is a service, as Istio names it.
type Destination struct {
	// Host is the name of a Service, or the host of a ServiceEntry. A name without
	// dots is of the policy's namespace.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host"`

	// Subset is one that a DestinationRule of the host defines. Default: all
	// endpoints of the host.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Subset string `json:"subset,omitempty"`

	// Port of the service. Default: its only port, or the port that the request
	// came to.
	//
	// +optional
	Port *PortSelector `json:"port,omitempty"`
}

// PortSelector is a port of a service.
type PortSelector struct {
	// Number of the port.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Number int32 `json:"number"`
}

// BackendRef is a Service, as the Gateway API names it.
type BackendRef struct {
	// Group is that of Service, the empty string.
	//
	// +optional
	// +kubebuilder:default=""
	// +kubebuilder:validation:Enum=""
	Group *string `json:"group,omitempty"`

	// Kind is Service.
	//
	// +optional
	// +kubebuilder:default=Service
	// +kubebuilder:validation:Enum=Service
	Kind string `json:"kind,omitempty"`

	// Name of the Service.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// Namespace of the Service. Default: the policy's.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// Port of the Service.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
}

// Again is how often the primary may be asked a second time. Only requests that
// are safe by their method (GET and HEAD) are.
type Again struct {
	// Percent of the mirrored safe requests that the primary is asked again.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=100
	Percent *float64 `json:"percent,omitempty"`

	// MaxPerSecond bounds them, and with them the requests that confirm a
	// difference.
	//
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=1000000
	MaxPerSecond *float64 `json:"maxPerSecond,omitempty"`
}

// Limits are what the verdict is about.
type Limits struct {
	// DifferencePercent is the excess of differing exchanges over the noise, in
	// percent of all, below which the versions count as equivalent.
	//
	// +optional
	// +kubebuilder:default=0.1
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=100
	DifferencePercent *float64 `json:"differencePercent,omitempty"`

	// ConfidencePercent is how sure a verdict is, however often it is looked at:
	// at 95, equal versions are called different in at most 5 % of all cases.
	//
	// +optional
	// +kubebuilder:default=95
	// +kubebuilder:validation:Minimum=50
	// +kubebuilder:validation:Maximum=100
	// +kubebuilder:validation:ExclusiveMaximum=true
	ConfidencePercent *float64 `json:"confidencePercent,omitempty"`

	// LatencyRatio is how many times longer the new version may take, like 1.05.
	// Default: latency is shown and does not decide.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	LatencyRatio *float64 `json:"latencyRatio,omitempty"`
}

// FieldRule says what is known of a field of answers.
//
// +kubebuilder:validation:XValidation:rule="has(self.type) || has(self.tolerance) || has(self.array)",message="one of type, tolerance and array is required"
type FieldRule struct {
	// Path of the field, as in ignore.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`

	// Type says that the value varies, and how: it goes on being checked for its
	// type. Any is any value of one JSON type.
	//
	// +optional
	Type FieldType `json:"type,omitempty"`

	// Tolerance is how far numbers may be from each other.
	//
	// +optional
	Tolerance *Tolerance `json:"tolerance,omitempty"`

	// Array says which elements of two arrays are compared with each other.
	//
	// +optional
	Array *ArrayRule `json:"array,omitempty"`
}

// FieldType is a type of values that vary.
//
// +kubebuilder:validation:Enum=UUID;Timestamp;Counter;Token;Float;Any
type FieldType string

// The types of values that vary.
const (
	FieldUUID      FieldType = "UUID"
	FieldTimestamp FieldType = "Timestamp"
	FieldCounter   FieldType = "Counter"
	FieldToken     FieldType = "Token"
	FieldFloat     FieldType = "Float"
	FieldAny       FieldType = "Any"
)

// Tolerance is how far numbers may be from each other: by either is enough.
//
// +kubebuilder:validation:MinProperties=1
type Tolerance struct {
	// Absolute is a distance. Default: 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Absolute *float64 `json:"absolute,omitempty"`

	// Relative is a distance in parts of the larger number: 0.01 is 1 %. Default: 0.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1
	Relative *float64 `json:"relative,omitempty"`
}

// ArrayRule says which elements of two arrays are compared with each other.
//
// +kubebuilder:validation:XValidation:rule="has(self.key) == (self.match == 'Key')",message="key is for match: Key, which needs it"
type ArrayRule struct {
	// Match is Index (those at the same place), Set (those that are equal, in any
	// order) or Key (objects with the same value of the field key).
	Match ArrayMatch `json:"match"`

	// Key is the name of a field of the elements.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Key string `json:"key,omitempty"`
}

// ArrayMatch is a way to match elements of arrays.
//
// +kubebuilder:validation:Enum=Index;Set;Key
type ArrayMatch string

// The ways to match elements of arrays.
const (
	ArrayIndex ArrayMatch = "Index"
	ArraySet   ArrayMatch = "Set"
	ArrayKey   ArrayMatch = "Key"
)

// Protobuf says where the types of messages come from.
type Protobuf struct {
	// DescriptorFile is a FileDescriptorSet on Sundog's disk, as protoc
	// --descriptor_set_out --include_imports writes it.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	DescriptorFile string `json:"descriptorFile,omitempty"`

	// Reflection allows Sundog to ask the primary for them, by gRPC server
	// reflection. Default: false.
	//
	// +optional
	Reflection bool `json:"reflection,omitempty"`
}
