package traffic

import "bytes"

// Span is a piece of a Head's arena.
type Span struct{ Off, Len uint32 }

// field is one field line. Its name is lower case.
type field struct{ name, value Span }

// Head is the start of a message: control data and field lines, kept as
// offsets into one arena so that a reused Head allocates nothing. It has the
// same form for HTTP/1.1 and HTTP/2, for requests and responses.
//
// Field names are lower case, as HTTP/2 has them and as Envoy writes them.
// Host is no field of a request: it is the authority (":authority").
//
// Slices that a Head returns are views: they are valid until the next Reset,
// and must not be written to.
type Head struct {
	arena  []byte
	fields []field

	method, scheme, authority, path Span

	// Status is the response's status code; 0 in a request.
	Status int
	// Minor is the minor version of HTTP/1 that the message came with: 0 or 1.
	Minor int
	// HTTP2 says that it came over HTTP/2.
	HTTP2  bool
	reason Span
}

// Reset empties the head and keeps its memory.
func (h *Head) Reset() {
	h.arena = h.arena[:0]
	h.fields = h.fields[:0]
	h.method, h.scheme, h.authority, h.path, h.reason = Span{}, Span{}, Span{}, Span{}, Span{}
	h.Status, h.Minor, h.HTTP2 = 0, 1, false
}

// Protocol is what the message came with, as Envoy's %PROTOCOL% has it:
// "HTTP/1.0", "HTTP/1.1" or "HTTP/2".
func (h *Head) Protocol() string {
	switch {
	case h.HTTP2:
		return "HTTP/2"
	case h.Minor == 0:
		return "HTTP/1.0"
	}
	return "HTTP/1.1"
}

// CopyFrom makes h an independent copy of o.
func (h *Head) CopyFrom(o *Head) {
	arena := append(h.arena[:0], o.arena...)
	fields := append(h.fields[:0], o.fields...)
	*h = *o
	h.arena, h.fields = arena, fields
}

func (h *Head) view(s Span) []byte { return h.arena[s.Off : s.Off+s.Len : s.Off+s.Len] }

// Put appends b to the arena and returns where it stands.
func (h *Head) Put(b []byte) Span {
	s := Span{uint32(len(h.arena)), uint32(len(b))}
	h.arena = append(h.arena, b...)
	return s
}

// Load makes a copy of b the arena of a head that has just been Reset, and
// returns the copy for a parser to work on in place. The parser may write to
// it until the next call that adds to the arena (Put, Add, Set and so on).
func (h *Head) Load(b []byte) []byte {
	h.arena = append(h.arena[:0], b...)
	return h.arena
}

// SetRequestLine replaces the control data of a request by pieces of the arena.
func (h *Head) SetRequestLine(method, scheme, authority, path Span) {
	h.method, h.scheme, h.authority, h.path = method, scheme, authority, path
}

// SetReasonSpan replaces the reason phrase by a piece of the arena.
func (h *Head) SetReasonSpan(s Span) { h.reason = s }

func (h *Head) putString(b string) Span {
	s := Span{uint32(len(h.arena)), uint32(len(b))}
	h.arena = append(h.arena, b...)
	return s
}

// Method is the request method; empty in a response.
func (h *Head) Method() []byte { return h.view(h.method) }

// Scheme is the scheme of the request target, "http" or "https"; empty where
// the message did not say.
func (h *Head) Scheme() []byte { return h.view(h.scheme) }

// Authority is the request's authority: the Host field of HTTP/1.1, or the
// authority of an absolute-form target, which wins (RFC 9112, section 3.2.2).
func (h *Head) Authority() []byte { return h.view(h.authority) }

// Path is the request's path and query, as ":path" of HTTP/2; "*" for
// OPTIONS *, empty for CONNECT.
func (h *Head) Path() []byte { return h.view(h.path) }

// Reason is the reason phrase of an HTTP/1 response; it may be empty.
func (h *Head) Reason() []byte { return h.view(h.reason) }

// SetMethod replaces the method by a copy of b, as the other setters do.
func (h *Head) SetMethod(b []byte) { h.method = h.Put(b) }

// SetScheme replaces the scheme.
func (h *Head) SetScheme(b []byte) { h.scheme = h.Put(b) }

// SetAuthority replaces the authority.
func (h *Head) SetAuthority(b []byte) { h.authority = h.Put(b) }

// SetPath replaces path and query.
func (h *Head) SetPath(b []byte) { h.path = h.Put(b) }

// SetReason replaces the reason phrase.
func (h *Head) SetReason(b []byte) { h.reason = h.Put(b) }

// Len is the number of field lines.
func (h *Head) Len() int { return len(h.fields) }

// Size is the number of bytes in the arena: an upper bound of what the head
// takes on the wire, but for a few bytes per field.
func (h *Head) Size() int { return len(h.arena) + 4*len(h.fields) }

// Field returns the i-th field line.
func (h *Head) Field(i int) (name, value []byte) {
	f := &h.fields[i]
	return h.view(f.name), h.view(f.value)
}

// Add appends a field line. The name must be lower case and valid.
func (h *Head) Add(name string, value []byte) {
	n := h.putString(name)
	h.fields = append(h.fields, field{n, h.Put(value)})
}

// AddSpans appends a field line whose name and value the caller has put into
// the arena already.
func (h *Head) AddSpans(name, value Span) {
	h.fields = append(h.fields, field{name, value})
}

// Get returns the value of the first field called name (lower case).
func (h *Head) Get(name string) ([]byte, bool) {
	for i := range h.fields {
		if h.is(i, name) {
			return h.view(h.fields[i].value), true
		}
	}
	return nil, false
}

// Has reports whether a field called name (lower case) is there.
func (h *Head) Has(name string) bool {
	for i := range h.fields {
		if h.is(i, name) {
			return true
		}
	}
	return false
}

func (h *Head) is(i int, name string) bool {
	s := h.fields[i].name
	return int(s.Len) == len(name) && string(h.arena[s.Off:s.Off+s.Len]) == name
}

// Set makes value the only value of the field called name, in the place of
// the first one.
func (h *Head) Set(name string, value []byte) {
	for i := range h.fields {
		if h.is(i, name) {
			h.fields[i].value = h.Put(value)
			h.del(name, i+1)
			return
		}
	}
	h.Add(name, value)
}

// Append adds value to the field called name, after a comma where the field
// is there already (the last line of it).
func (h *Head) Append(name string, value []byte) {
	for i := len(h.fields) - 1; i >= 0; i-- {
		if h.is(i, name) {
			old := h.fields[i].value
			s := Span{Off: uint32(len(h.arena))}
			h.arena = append(h.arena, h.arena[old.Off:old.Off+old.Len]...)
			if old.Len > 0 {
				h.arena = append(h.arena, ',')
			}
			h.arena = append(h.arena, value...)
			s.Len = uint32(len(h.arena)) - s.Off
			h.fields[i].value = s
			return
		}
	}
	h.Add(name, value)
}

// Del removes every field called name (lower case).
func (h *Head) Del(name string) { h.del(name, 0) }

func (h *Head) del(name string, from int) {
	w := from
	for i := from; i < len(h.fields); i++ {
		if h.is(i, name) {
			continue
		}
		if w != i {
			h.fields[w] = h.fields[i]
		}
		w++
	}
	h.fields = h.fields[:w]
}

// DelAt removes the i-th field line.
func (h *Head) DelAt(i int) {
	h.fields = append(h.fields[:i], h.fields[i+1:]...)
}

// HasToken reports whether a field called name (lower case) lists the token
// (lower case), as Connection and Transfer-Encoding do (RFC 9110, section 5.6.1).
func (h *Head) HasToken(name, token string) bool {
	for i := range h.fields {
		if h.is(i, name) && ListHas(h.view(h.fields[i].value), token) {
			return true
		}
	}
	return false
}

// ListHas reports whether the comma-separated list holds the token, whatever
// its case. The token is given in lower case.
func ListHas(list []byte, token string) bool {
	for len(list) > 0 {
		item := list
		if i := bytes.IndexByte(list, ','); i >= 0 {
			item, list = list[:i], list[i+1:]
		} else {
			list = nil
		}
		if EqualFold(bytes.Trim(item, " \t"), token) {
			return true
		}
	}
	return false
}

// EqualFold compares b with lower, which is ASCII in lower case.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
