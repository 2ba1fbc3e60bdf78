package http1

import "bytes"

// maxBlank is how many empty lines may stand before a request line. RFC 9112,
// section 2.2, asks for one at least.
const maxBlank = 4

// Scanner finds the end of a head while its bytes come in, without looking at
// any of them twice. The zero value is ready for a first message.
type Scanner struct {
	pos   int  // bytes looked at
	line  int  // where the current line starts
	lines int  // complete lines of the head
	blank int  // empty lines before it
	begun bool // the start line begins as one should
}

// Reset makes the scanner ready for the next message.
func (s *Scanner) Reset() { *s = Scanner{} }

// End returns the length of the complete head at the start of b, the empty
// line that ends it included, or 0 when more bytes are needed. From one call
// to the next b must keep its bytes and may only grow.
//
// It returns an *Error as soon as b can not become a head within the limits,
// not when the head is valid: that is for ParseRequest or ParseResponse to say.
func (s *Scanner) End(b []byte, lim Limits) (int, error) {
	w := b[:min(len(b), lim.bytes())]
	for {
		if !s.begun {
			if err := s.begin(w); err != nil {
				return 0, err
			}
		}
		i := bytes.IndexByte(w[s.pos:], '\n')
		if i < 0 {
			break
		}
		end := s.pos + i - 1
		if end < s.line || w[end] != '\r' {
			return 0, errBareLF
		}
		line := w[s.line:end]
		s.pos = end + 2
		s.line = s.pos
		if len(line) > 0 {
			if err := s.took(line, lim); err != nil {
				return 0, err
			}
			continue
		}
		if s.lines > 0 {
			return s.pos, nil
		}
		if s.blank++; s.blank > maxBlank {
			return 0, errBlankLines
		}
	}
	if s.begun {
		s.pos = len(w)
	}
	if len(w) == lim.bytes() {
		return 0, errTooLarge
	}
	return 0, nil
}

// begin looks at the first word of the message: a method and a space, or
// "HTTP/". It leaves a CR that may be part of an empty line for the next call.
func (s *Scanner) begin(w []byte) error {
	for ; s.pos < len(w); s.pos++ {
		c := w[s.pos]
		if lower[c] != 0 {
			continue
		}
		word := w[s.line:s.pos]
		switch {
		case c == ' ' && len(word) > 0, c == '/' && string(word) == "HTTP":
			s.begun = true
			return nil
		case c == '\n':
			return errBareLF
		case c == '\r' && len(word) == 0:
			if s.pos+1 < len(w) && w[s.pos+1] != '\n' {
				return errBareCR
			}
			return nil
		}
		return errMethod
	}
	return nil
}

// took looks at a complete line that is not empty.
func (s *Scanner) took(line []byte, lim Limits) error {
	s.lines++
	if s.lines == 1 && !bytes.HasPrefix(line, []byte("HTTP/")) {
		return checkVersion(line)
	}
	if s.lines-1 > lim.fields() {
		return errTooMany
	}
	return nil
}
