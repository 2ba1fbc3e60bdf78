package http1

import "github.com/sundog-mesh/sundog/internal/traffic"

// section is what the fields of a head say about the message itself.
type section struct {
	host, length, coding    traffic.Span // the last one of each
	hosts, lengths, codings int
	options                 int  // in Connection fields
	badOption               bool // there
}

// sectionKind is what a field section belongs to; the rules differ a little.
type sectionKind uint8

const (
	ofRequest  sectionKind = iota // Host does not become a field
	ofResponse                    // white space before a colon is dropped, not refused
	ofTrailers                    // fields that must not be trailers are dropped
)

// parseFields reads the field lines of a from i on, up to and with the empty
// line, into h: a is h's arena, and names become lower case in it.
func (s *section) parseFields(h *traffic.Head, a []byte, i int, kind sectionKind, limit int) error {
	for n := 0; ; n++ {
		start := i
		for i < len(a) {
			c := lower[a[i]]
			if c == 0 {
				break
			}
			a[i] = c
			i++
		}
		name := traffic.Span{Off: uint32(start), Len: uint32(i - start)}
		if i < len(a) && a[i] != ':' {
			if i == start && a[i] == '\r' && i+1 < len(a) && a[i+1] == '\n' {
				if i+2 != len(a) {
					return errSurplus
				}
				return nil
			}
			if kind == ofResponse && i > start {
				i = skipSpace(a, i)
			}
		}
		if i >= len(a) || a[i] != ':' || name.Len == 0 {
			return nameError(a, start, i)
		}
		if n == limit {
			return errTooMany
		}
		i = skipSpace(a, i+1)
		from := i
		i = textEnd(a, i)
		if i+1 >= len(a) || a[i] != '\r' || a[i+1] != '\n' {
			return textError(a, i)
		}
		to := i
		for to > from && (a[to-1] == ' ' || a[to-1] == '\t') {
			to--
		}
		i += 2
		s.add(h, a, name, traffic.Span{Off: uint32(from), Len: uint32(to - from)}, kind)
	}
}

// add puts one field into h, and notes what it says.
func (s *section) add(h *traffic.Head, a []byte, name, value traffic.Span, kind sectionKind) {
	word := a[name.Off : name.Off+name.Len]
	if kind == ofTrailers {
		if !forbiddenTrailer(word) {
			h.AddSpans(name, value)
		}
		return
	}
	switch string(word) {
	case "host":
		s.host = value
		s.hosts++
		if kind == ofRequest {
			return
		}
	case "content-length":
		s.length = value
		s.lengths++
	case "transfer-encoding":
		s.coding = value
		s.codings++
	case "connection":
		s.addOptions(a[value.Off:value.Off+value.Len], kind == ofRequest)
	}
	h.AddSpans(name, value)
}

func skipSpace(a []byte, i int) int {
	for i < len(a) && (a[i] == ' ' || a[i] == '\t') {
		i++
	}
	return i
}

// nameError says why a line that starts at start is no field: a[i] is the
// first byte that fits neither into a name nor after it.
func nameError(a []byte, start, i int) error {
	if i >= len(a) {
		return errIncomplete
	}
	switch c := a[i]; {
	case c == '\n', c == '\r':
		if err := lineError(a, i); err != nil {
			return err
		}
		return errNoColon
	case c == ' ' || c == '\t':
		if i == start {
			return errFold
		}
		return errColonSpace
	case c == ':':
		return errNoName
	}
	return errFieldName
}

// textError says why the text of a line ends at a[i].
func textError(a []byte, i int) error {
	if err := lineError(a, i); err != nil {
		return err
	}
	return errControl
}

// lineError says what is wrong with the end of line at a[i]; nil when it is
// none, or right.
func lineError(a []byte, i int) error {
	switch {
	case i >= len(a), a[i] == '\r' && i+1 == len(a):
		return errIncomplete
	case a[i] == '\n':
		return errBareLF
	case a[i] == '\r' && a[i+1] != '\n':
		return errBareCR
	}
	return nil
}

// forbiddenTrailer reports whether a trailer called name is dropped: it would
// change framing, routing, authentication or the meaning of the content, all
// of which were decided without it (RFC 9110, section 6.5.1).
func forbiddenTrailer(name []byte) bool {
	switch string(name) {
	case "authorization", "connection", "content-encoding", "content-length", "content-range", "content-type",
		"cookie", "expect", "host", "keep-alive", "max-forwards", "proxy-authorization", "proxy-connection",
		"set-cookie", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}
