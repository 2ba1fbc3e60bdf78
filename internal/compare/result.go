package compare

// Result is what a comparison found.
type Result struct {
	Outcome Outcome
	// Why says what stood in the way of comparing the bodies as their content
	// type says; empty: nothing. Status, headers and trailers are compared in any case.
	Why Reason
	// Differences are sorted by Field, then Kind; no two have the same Field and Kind.
	Differences []Difference
	// More is how many differences were found beyond Options.MaxDifferences.
	More int
	// Shape is a hash of the structure of the first message: its status, and
	// the paths and types of its body, without its values. 0: not looked at, as
	// for most bodies of equal bytes (see Comparer.Compare).
	Shape uint64
}

// Outcome is the result of a comparison in one word.
type Outcome uint8

// The outcomes.
const (
	// Equal: no difference, or only Minor ones.
	Equal Outcome = iota
	Different
	// NotComparable: what could be compared is equal, and Why says what could not.
	NotComparable
)

// String returns "equal", "different" or "not comparable".
func (o Outcome) String() string {
	return [...]string{"equal", "different", "not comparable"}[min(o, NotComparable)]
}

// Reason says why bodies were not compared, or not as their content type says.
// There are few reasons, so they may be used as labels.
type Reason string

// The reasons. With the first four of them, bodies without a difference make
// the outcome NotComparable; the others only tell how bodies were compared.
const (
	Cut         Reason = "body cut"                     // a body is longer than what was kept of it
	TooLarge    Reason = "body too large"               // longer than Options.MaxBody once decompressed
	BadEncoding Reason = "content coding"               // unknown, or the body breaks it
	TooComplex  Reason = "body too deep or too complex" // beyond MaxDepth or MaxNodes
	Malformed   Reason = "body is not of its content type"
	Misfit      Reason = "descriptors do not fit" // messages are compared by field numbers
	Mixed       Reason = "content types differ"
)

// blocks reports whether equal remains mean nothing.
func (r Reason) blocks() bool {
	return r == Cut || r == TooLarge || r == BadEncoding || r == TooComplex
}

// Difference is how one field differs, at all the places of an answer that
// have the same Field and Kind.
type Difference struct {
	// Field is the path without what varies from answer to answer: "status",
	// "header.etag", "trailer.grpc-status", "body.items[].price",
	// "body.users.*.name". A name that has other characters than letters,
	// digits, "_", "-", "@", "$", "#", ":" and "/" is quoted: body["a.b"].
	Field string
	// At is the first place: "body.items[3].price", "body.users.ann.name".
	At   string
	Kind Kind
	A, B Value // at that place
	// Count is how many places have this Field and Kind.
	Count int
	// Minor differences do not make an answer Different: values of
	// header.etag, header.last-modified, header.expires and the expiry of
	// cookies, as long as their form stays.
	Minor bool
}

// Kind is a way to differ.
type Kind uint8

// The kinds of differences.
const (
	Changed     Kind = iota // another value of the same type
	Missing                 // the second message lacks it
	Added                   // the first message lacks it
	TypeChanged             // another type, or not of the type that a rule declares
	Reordered               // the same elements in another order
	Length                  // another number of elements, or another size of a body
	Opaque                  // other bytes, of which nothing more is known
)

// String returns the kind's name, as "type changed".
func (k Kind) String() string {
	return [...]string{"changed", "missing", "added", "type changed", "reordered", "length", "opaque"}[min(k, Opaque)]
}

// Value is a value for people to read, and for Classify.
type Value struct {
	Type Type
	// Text is at most 256 bytes, valid UTF-8, bytes in hex. Of long strings that
	// begin alike it shows where they differ, after "…".
	Text string
	Cut  bool // Text is not all of it
}

// Type is the type of a value, in the words of JSON.
type Type uint8

// The types. Absent is the type of a value that is not there.
const (
	Absent Type = iota
	Null
	Bool
	Number
	String
	Object
	Array
	Bytes
)

// String returns the type's name in lower case.
func (t Type) String() string {
	return [...]string{"absent", "null", "bool", "number", "string", "object", "array", "bytes"}[min(t, Bytes)]
}
