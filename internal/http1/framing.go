package http1

import (
	"bytes"
	"math"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// framing reads the framing fields, of which there may be one at most. ok is
// false when there is none (RFC 9112, section 6.3).
func (s *section) framing(h *traffic.Head, a []byte) (f traffic.Framing, ok bool, err error) {
	switch {
	case s.lengths == 0 && s.codings == 0:
		return f, false, nil
	case s.codings > 0 && h.Minor == 0:
		return f, false, errCodingIn10
	case s.lengths > 0 && s.codings > 0:
		return f, false, errBoth
	case s.lengths > 1:
		return f, false, errTwoLengths
	case s.lengths == 1:
		n, ok := parseLength(a[s.length.Off : s.length.Off+s.length.Len])
		if !ok {
			return f, false, errLength
		}
		return traffic.Framing{Kind: traffic.FramingLength, Length: n}, true, nil
	case s.codings == 1 && traffic.EqualFold(a[s.coding.Off:s.coding.Off+s.coding.Len], "chunked"):
		return traffic.Framing{Kind: traffic.FramingChunked}, true, nil
	}
	return f, false, codingError(h)
}

func (s *section) requestFraming(h *traffic.Head, a []byte) (traffic.Framing, error) {
	f, ok, err := s.framing(h, a)
	if err == nil && ok && string(h.Method()) == "CONNECT" {
		switch {
		case f.Kind == traffic.FramingChunked:
			return traffic.Framing{}, errNoCoding
		case f.Length > 0:
			return traffic.Framing{}, errNoLength
		}
		h.Del("content-length")
		return traffic.Framing{}, nil
	}
	return f, err
}

func (s *section) responseFraming(h *traffic.Head, a, method []byte) (traffic.Framing, error) {
	none := traffic.Framing{}
	if h.Status/100 == 2 && string(method) == "CONNECT" {
		h.Del("content-length") // both mean nothing here: RFC 9110, section 9.3.6
		h.Del("transfer-encoding")
		return none, nil
	}
	f, ok, err := s.framing(h, a)
	if err != nil {
		return none, err
	}
	switch {
	case h.Status < 200, h.Status == 204:
		if ok && f.Kind == traffic.FramingChunked {
			return none, errNoCoding
		}
		if ok && f.Length > 0 {
			return none, errNoLength
		}
		if ok {
			h.Del("content-length")
		}
		return none, nil
	case h.Status == 304, string(method) == "HEAD":
		return none, nil
	case !ok:
		return traffic.Framing{Kind: traffic.FramingClose}, nil
	}
	return f, nil
}

// parseLength reads a Content-Length: digits and nothing else.
func parseLength(b []byte) (n int64, ok bool) {
	for _, c := range b {
		d := int64(c - '0')
		if !isDigit(c) || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(b) > 0
}

// codingError says what is wrong with transfer codings that are not just
// "chunked": they are malformed, or chunked is not the last or stands twice;
// else one of them is unknown.
func codingError(h *traffic.Head) error {
	chunked, unknown := false, false
	for i := range h.Len() {
		name, value := h.Field(i)
		if string(name) != "transfer-encoding" {
			continue
		}
		for more := true; more; {
			var item []byte
			item, value, more = bytes.Cut(value, comma)
			item, _, params := bytes.Cut(item, semicolon)
			item = trim(item)
			if chunked || !isToken(item) {
				return errCoding
			}
			chunked = traffic.EqualFold(item, "chunked")
			if chunked && params {
				return errCoding
			}
			unknown = unknown || !chunked
		}
	}
	if unknown {
		return errUnknownCoding
	}
	return errCoding
}
