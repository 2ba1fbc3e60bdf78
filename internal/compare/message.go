package compare

// Field is one header or trailer line. Name is lower case.
type Field struct {
	Name  string
	Value string
}

// Message is one answer.
type Message struct {
	Status   int
	Headers  []Field
	Trailers []Field
	Body     []byte // as it came, maybe compressed
	// Cut says that Body is only the beginning of the body.
	Cut bool
	// Size is the length of the whole body in bytes; less than len(Body): unknown.
	Size int64
}

// Request is what has to be known of the question to read the answers.
type Request struct {
	Method string
	Path   string // "/pkg.Service/Method" finds the descriptors of gRPC messages
}

// header returns the first value of a header, or "".
func (m *Message) header(name string) string {
	for i := range m.Headers {
		if m.Headers[i].Name == name {
			return m.Headers[i].Value
		}
	}
	return ""
}

// size is the length of the whole body, or -1 where nobody knows.
func (m *Message) size() int64 {
	switch {
	case !m.Cut:
		return int64(len(m.Body))
	case m.Size > int64(len(m.Body)):
		return m.Size
	}
	return -1
}
