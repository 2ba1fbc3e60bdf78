package v1alpha1

// Sample says which requests are mirrored.
type Sample struct {
	// Percent of the requests is mirrored, by every mirror of the route, whatever
	// percentage the mirror has there; only a mirror that is switched off with
	// percentage 0 stays off. Above 100 a request has several copies: 250 sends
	// two, and a third of every second request. In steps of 0.0001 as far as
	// 100. Default: the percentage of each mirror.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=10000
	Percent *float64 `json:"percent,omitempty"`

	// Key is what the choice is made by: requests with the same key are all
	// mirrored or all not. Default: the request id, so that each request has a
	// chance of its own.
	//
	// +optional
	// +kubebuilder:default={}
	Key *SampleKey `json:"key,omitempty"`

	// MaxPerSecond is how many requests are mirrored in a second at most, evenly
	// over time, by one Sundog process. With percent 100 this is a constant rate,
	// whatever the load. Default: as many as percent says.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:ExclusiveMinimum=true
	// +kubebuilder:validation:Maximum=1000000000
	MaxPerSecond *float64 `json:"maxPerSecond,omitempty"`

	// Methods are the only ones that are mirrored, like [GET, HEAD]. Default: all.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:Pattern="^[A-Za-z0-9!#$%&'*+.^_|~-]+$"
	Methods []string `json:"methods,omitempty"`

	// Match is a CEL expression over the request that has to be true, like
	// request.headers["x-tenant"] != "internal". It is evaluated after the choice
	// by percent; what it leaves out is counted as filtered. Default: all match.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Match string `json:"match,omitempty"`
}

// SampleKey is what of a request the choice is made by. A request that lacks it
// is chosen by its request id.
//
// +kubebuilder:validation:XValidation:rule="has(self.name) == (has(self.type) && self.type in ['Header', 'Cookie'])",message="name is that of the header or cookie, and for these types alone"
type SampleKey struct {
	// Type is RequestID (x-request-id), Header, Cookie or SourceAddress (the
	// client's address, as x-forwarded-for gives it where that is trusted).
	//
	// +optional
	// +kubebuilder:default=RequestID
	Type KeyType `json:"type,omitempty"`

	// Name of the header or cookie.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`
}

// KeyType is a kind of key.
//
// +kubebuilder:validation:Enum=RequestID;Header;Cookie;SourceAddress
type KeyType string

// The kinds of keys.
const (
	KeyRequestID     KeyType = "RequestID"
	KeyHeader        KeyType = "Header"
	KeyCookie        KeyType = "Cookie"
	KeySourceAddress KeyType = "SourceAddress"
)
