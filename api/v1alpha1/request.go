package v1alpha1

// Request says how copies differ from the requests that the primary gets. The
// fields authority and headers mean what they mean in the HTTPMirrorPolicy that
// is proposed for Istio (istio/api#3705).
//
// +kubebuilder:validation:XValidation:rule="!has(self.authority) || !has(self.authorityMode)",message="authority and authorityMode exclude each other"
type Request struct {
	// Authority is the Host, or :authority, of copies, as it stands here.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Authority string `json:"authority,omitempty"`

	// AuthorityMode is how the Host of copies is made where authority does not
	// say it: Suffix appends -shadow to the primary's, Keep leaves that as it is,
	// Shadow is the host of the service that gets the copy. Default: Suffix, or
	// Keep with --shadow-host-suffix=false.
	//
	// +optional
	AuthorityMode AuthorityMode `json:"authorityMode,omitempty"`

	// Headers changes the header of copies.
	//
	// +optional
	Headers *HeaderOperations `json:"headers,omitempty"`

	// Path rewrites the path of copies, after what the route itself rewrites.
	//
	// +optional
	Path *PathRewrite `json:"path,omitempty"`

	// Redact replaces values that shall not leave the production.
	//
	// +optional
	Redact *Redact `json:"redact,omitempty"`
}

// AuthorityMode is a way to make the authority of copies.
//
// +kubebuilder:validation:Enum=Suffix;Keep;Shadow
type AuthorityMode string

// The ways to make the authority of copies.
const (
	AuthoritySuffix AuthorityMode = "Suffix"
	AuthorityKeep   AuthorityMode = "Keep"
	AuthorityShadow AuthorityMode = "Shadow"
)

// HeaderOperations change a header: first remove, then set, then add.
type HeaderOperations struct {
	// Set overwrites the headers, or adds those that are not there.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Set map[string]string `json:"set,omitempty"`

	// Add appends values to the headers.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Add map[string]string `json:"add,omitempty"`

	// Remove removes the headers.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Remove []string `json:"remove,omitempty"`
}

// PathRewrite rewrites a path and leaves its query.
//
// +kubebuilder:validation:XValidation:rule="has(self.prefix) != has(self.regex)",message="one of prefix and regex is required"
type PathRewrite struct {
	// Prefix replaces the beginning of the path.
	//
	// +optional
	Prefix *PrefixRewrite `json:"prefix,omitempty"`

	// Regex replaces every part of the path that the pattern matches.
	//
	// +optional
	Regex *RegexRewrite `json:"regex,omitempty"`
}

// PrefixRewrite replaces the beginning of a path.
type PrefixRewrite struct {
	// Match is the beginning that is replaced, like /v1/. Other paths stay.
	//
	// +kubebuilder:validation:Pattern="^/"
	// +kubebuilder:validation:MaxLength=1024
	Match string `json:"match"`

	// Rewrite is what takes its place, like /v2/.
	//
	// +kubebuilder:validation:Pattern="^/"
	// +kubebuilder:validation:MaxLength=1024
	Rewrite string `json:"rewrite"`
}

// RegexRewrite replaces the parts of a path that a pattern matches.
type RegexRewrite struct {
	// Match is an RE2 pattern.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Match string `json:"match"`

	// Rewrite is what takes the place of a match; \0 to \9 stand for the match
	// and its groups. Default: nothing.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Rewrite string `json:"rewrite,omitempty"`
}

// Redact names values of requests and answers that neither the shadow nor logs,
// reports, metrics and the state on disk get to see. Each becomes a pseudonym,
// made with a key: the same value gives the same pseudonym, so that joins and
// comparisons still work.
type Redact struct {
	// Headers of requests and answers whose values are replaced.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Headers []string `json:"headers,omitempty"`

	// Cookies whose values are replaced, in Cookie and Set-Cookie.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=64
	Cookies []string `json:"cookies,omitempty"`

	// QueryParams are query parameters, and fields of form bodies, whose values
	// are replaced.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=64
	QueryParams []string `json:"queryParams,omitempty"`

	// JSONPaths are fields of JSON bodies whose values are replaced, like
	// $.user.email and $.items[*].card.
	//
	// +optional
	// +kubebuilder:validation:MaxItems=64
	JSONPaths []string `json:"jsonPaths,omitempty"`

	// KeyFile is a file on Sundog's disk that holds the key. With the same file
	// several processes make the same pseudonyms. Default: a random key for the
	// life of the process.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	KeyFile string `json:"keyFile,omitempty"`
}
