// Package policy is what a ShadowPolicy says about one route, in the form in
// which it travels: as JSON in the metadata of the snapshot's route, which
// stock Envoy ignores. Package translate writes it with every default filled
// in; the proxy and the judge read it, and neither knows of Kubernetes.
//
// The package holds plain data and its reading and writing. It does no I/O.
package policy

import "time"

// Policy is a ShadowPolicy as it applies to one route.
type Policy struct {
	// Name is the object's "namespace/name", for messages.
	Name    string  `json:"name"`
	Sample  Sample  `json:"sample"`
	Request Request `json:"request,omitzero"`
	Budget  Budget  `json:"budget,omitzero"`
	Brake   Brake   `json:"brake,omitzero"`
	Compare Compare `json:"compare,omitzero"`
}

// Sample says which requests are mirrored.
type Sample struct {
	// Percent replaces the share of every mirror of the route: 0 to 10,000.
	// Above 100 a request has several copies. nil: the route's own share.
	Percent *float64 `json:"percent,omitempty"`
	Key     Key      `json:"key,omitzero"`
	// Rate is how many requests per second are mirrored at most, spread evenly
	// over time, for all loops of one process together; 0: as many as the share says.
	Rate float64 `json:"rate,omitempty"`
	// Methods are the only methods that are mirrored; empty: all.
	Methods []string `json:"methods,omitempty"`
	// Match is a CEL expression over the request that has to be true; empty: all.
	Match string `json:"match,omitempty"`
}

// Key says what a request's number, which shares are decided by, comes from. A
// request without it counts by its request id.
type Key struct {
	Kind KeyKind `json:"kind"`
	Name string  `json:"name,omitempty"` // of the header (lower case) or cookie
}

// KeyKind is where a key comes from; empty: KeyRequestID.
type KeyKind string

// The kinds of keys.
const (
	KeyRequestID     KeyKind = "RequestID"
	KeyHeader        KeyKind = "Header"
	KeyCookie        KeyKind = "Cookie"
	KeySourceAddress KeyKind = "SourceAddress"
)

// Request says how a copy differs from the request that the primary gets. What
// Envoy has fields for, the authority and headers, is in the route's mirrors.
type Request struct {
	// Path rewrites the path of the copy; nil: as the primary gets it.
	Path   *Path  `json:"path,omitempty"`
	Redact Redact `json:"redact,omitzero"`
}

// Path rewrites the path of a copy, and leaves its query. One of Prefix and Regex is set.
type Path struct {
	// Prefix is replaced by Replacement where the path begins with it.
	Prefix      string `json:"prefix,omitempty"`
	Replacement string `json:"replacement,omitempty"`
	// Regex (RE2) is what Substitution, with \1 to \9, replaces wherever it matches.
	Regex        string `json:"regex,omitempty"`
	Substitution string `json:"substitution,omitempty"`
}

// Redact says which values of a request and its answers never leave the
// process as they are: each becomes a keyed pseudonym, the same for the same value.
type Redact struct {
	Headers []string `json:"headers,omitempty"` // lower case; of requests and answers
	Cookies []string `json:"cookies,omitempty"` // of Cookie and Set-Cookie
	Query   []string `json:"query,omitempty"`   // parameters, also of form bodies
	JSON    []string `json:"json,omitempty"`    // paths of body fields, "$.user.email", "$.items[*].card"
	// KeyFile holds the key, so that several processes make the same pseudonyms;
	// empty: a key of the process.
	KeyFile string `json:"keyFile,omitempty"`
}

// Empty reports whether nothing is to be redacted.
func (r *Redact) Empty() bool {
	return len(r.Headers) == 0 && len(r.Cookies) == 0 && len(r.Query) == 0 && len(r.JSON) == 0
}

// Budget bounds what copies may cost; a zero field leaves it to the flags.
type Budget struct {
	Timeout     time.Duration `json:"timeout,omitempty"`     // "15s" in JSON
	Buffer      int64         `json:"buffer,omitempty"`      // bytes of one copy that may wait
	MaxRequests int           `json:"maxRequests,omitempty"` // copies in flight
	MaxBytes    int64         `json:"maxBytes,omitempty"`    // bytes that wait in all of them
}

// Brake is when mirroring steps down for what it costs the primary.
type Brake struct {
	Off bool `json:"off,omitempty"`
	// Ratio is how much slower mirrored requests may be than unmirrored ones;
	// 0: as the flags say.
	Ratio float64 `json:"ratio,omitempty"`
	// ControlShare is the percentage of requests kept unmirrored; nil: as the flags say.
	ControlShare *float64 `json:"controlShare,omitempty"`
}

// Compare says whether and how answers are compared.
type Compare struct {
	Enabled  bool     `json:"enabled"`
	Baseline Baseline `json:"baseline,omitzero"`
	// Epsilon is the excess rate of differing exchanges, in parts of one, below
	// which the versions are called equivalent. Alpha is the false-alarm rate.
	Epsilon float64 `json:"epsilon"`
	Alpha   float64 `json:"alpha"`
	// MaxLatencyRatio is how much slower the candidate may be; 0: anything goes.
	MaxLatencyRatio float64 `json:"maxLatencyRatio,omitempty"`
	// MaxBody is how many bytes of a body are kept to be compared.
	MaxBody int64       `json:"maxBody"`
	Ignore  []string    `json:"ignore,omitempty"` // paths of fields
	Fields  []FieldRule `json:"fields,omitempty"`
	// Endpoints are path templates, "/users/{id}", that are given, not learnt.
	Endpoints []string `json:"endpoints,omitempty"`
	// OpenAPI and Descriptors are files; Reflection asks the primary for its
	// protobuf descriptors (gRPC server reflection).
	OpenAPI     string `json:"openAPI,omitempty"`
	Descriptors string `json:"descriptors,omitempty"`
	Reflection  bool   `json:"reflection,omitempty"`
}

// Baseline is where the measure of noise comes from: a cluster that is also a
// mirror of the route, or the primary, asked again; neither: no baseline.
type Baseline struct {
	Cluster string `json:"cluster,omitempty"`
	// Again is the share of safe requests (GET, HEAD), in parts of one, that the
	// primary is asked again; AgainRate bounds them, per second. Confirmations
	// count against the same rate.
	Again     float64 `json:"again,omitempty"`
	AgainRate float64 `json:"againRate,omitempty"`
}

// MayAsk reports whether the primary may be asked again, be it only to confirm
// that answers differ.
func (b Baseline) MayAsk() bool { return b.Again > 0 || b.AgainRate > 0 }

// FieldRule is what is known of a field.
type FieldRule struct {
	Path string `json:"path"` // as in a report, "body.items[].price"; * stands for any name, ** for any path
	// Type says that the value varies but keeps its type; empty: it does not.
	Type FieldType `json:"type,omitempty"`
	// Absolute and Relative are tolerances of numbers.
	Absolute float64 `json:"absolute,omitempty"`
	Relative float64 `json:"relative,omitempty"`
	// Array says how arrays are matched: by index, as sets, or by the field Key.
	Array ArrayMode `json:"array,omitempty"`
	Key   string    `json:"key,omitempty"`
}

// FieldType is a type of values that vary.
type FieldType string

// The types of values that vary.
const (
	TypeUUID      FieldType = "UUID"
	TypeTimestamp FieldType = "Timestamp"
	TypeCounter   FieldType = "Counter"
	TypeToken     FieldType = "Token"
	TypeFloat     FieldType = "Float"
	TypeAny       FieldType = "Any" // of one JSON type
)

// ArrayMode says which elements of two arrays are compared with each other.
type ArrayMode string

// The ways to match arrays.
const (
	ArrayIndex ArrayMode = "Index"
	ArraySet   ArrayMode = "Set"
	ArrayKey   ArrayMode = "Key"
)
