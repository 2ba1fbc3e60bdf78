package http1

import "github.com/sundog-mesh/sundog/internal/traffic"

// ParseResponse reads the complete head b, as measured by a Scanner, into h,
// which it Resets first, and returns the framing of the body. method is that
// of the request: a response to HEAD has no body, nor has a successful one to
// CONNECT, nor one with status 1xx, 204 or 304. It keeps no part of b. On an
// *Error h holds nothing useful.
//
// Content-Length stays a field, as it came: for HEAD and 304 it tells the
// client what is not sent. Framing close means that the body ends with the
// connection.
func ParseResponse(h *traffic.Head, b, method []byte, lim Limits) (traffic.Framing, error) {
	h.Reset()
	if len(b) > lim.bytes() {
		return traffic.Framing{}, errTooLarge
	}
	a := h.Load(b)
	i, err := parseStatusLine(h, a)
	if err != nil {
		return traffic.Framing{}, err
	}
	var s section
	if err := s.parseFields(h, a, i, ofResponse, lim.fields()); err != nil {
		return traffic.Framing{}, err
	}
	if s.badOption {
		return traffic.Framing{}, errOptions
	}
	return s.responseFraming(h, a, method)
}

// parseStatusLine returns where the fields start. The space before the reason
// phrase may be missing where the phrase is.
func parseStatusLine(h *traffic.Head, a []byte) (int, error) {
	const form = "HTTP/1.1 200"
	end := textEnd(a, 0)
	if end+1 >= len(a) || a[end] != '\r' || a[end+1] != '\n' {
		return 0, textError(a, end)
	}
	line := a[:end]
	if len(line) < len(form) || string(line[:5]) != form[:5] ||
		!isDigit(line[5]) || line[6] != '.' || !isDigit(line[7]) || line[8] != ' ' ||
		line[9] == '0' || !isDigit(line[9]) || !isDigit(line[10]) || !isDigit(line[11]) ||
		len(line) > len(form) && line[len(form)] != ' ' {
		return 0, errStatusLine
	}
	if line[5] != '1' {
		return 0, errNotHTTP1
	}
	h.Minor = int(min(line[7]-'0', 1))
	h.Status = int(line[9]-'0')*100 + int(line[10]-'0')*10 + int(line[11]-'0')
	if len(line) > len(form) {
		h.SetReasonSpan(span(len(form)+1, end))
	}
	return end + 2, nil
}
