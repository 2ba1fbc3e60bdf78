package http1

import (
	"math"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// maxExtensions bounds the chunk extensions of a body, in bytes: they are
// skipped, and would otherwise be work without an end. Each byte of payload
// makes up for one of them.
const maxExtensions = 16 << 10

// Body takes the bytes of a body apart. Reset it for each message: the zero
// value is a body of FramingNone.
type Body struct {
	kind  traffic.FramingKind
	state bodyState
	left  int64 // payload until the end of the chunk or body
	ext   int64 // bytes of extensions and excess digits that payload has not made up for
	size  int64 // of the chunk whose size line is read
	digit int   // digits of that size line
	err   error

	lim      Limits
	section  []byte // trailer section as it came
	line     int    // where its current line starts
	lines    int
	trailers traffic.Head
}

// bodyState is what the next byte of a body belongs to.
type bodyState uint8

const (
	bodyData     bodyState = iota // payload
	bodySize                      // digits of a chunk's size
	bodyExt                       // chunk extensions
	bodySizeLF                    // LF after the size line
	bodyDataCR                    // CR after a chunk's payload
	bodyDataLF                    // and its LF
	bodyTrailers                  // trailer section
	bodyDone
)

// Reset makes d ready for a body framed as f says. The limits are those of its
// trailer section.
func (d *Body) Reset(f traffic.Framing, lim Limits) {
	d.kind, d.lim = f.Kind, lim
	d.state, d.left = bodyData, 0
	d.ext, d.size, d.digit, d.err = 0, 0, 0, nil
	d.section, d.line, d.lines = d.section[:0], 0, 0
	d.trailers.Reset()
	switch f.Kind {
	case traffic.FramingNone:
		d.state = bodyDone
	case traffic.FramingLength:
		d.left = f.Length
		if d.left == 0 {
			d.state = bodyDone
		}
	case traffic.FramingChunked:
		d.state = bodySize
	case traffic.FramingClose:
		d.left = math.MaxInt64
	}
}

// Next takes the next bytes of the body, b, and returns a piece of payload (a
// view of b, maybe empty), how many bytes of b it used, and whether the body
// is complete. Call it with what is left of b until it uses nothing; it uses
// nothing of what follows a complete body.
//
// Wrong chunks are an *Error, which every later call returns too; payload
// before them comes first, and b is not used up then. A body of FramingClose
// is never done: it ends when the connection does.
func (d *Body) Next(b []byte) (data []byte, used int, done bool, err error) {
	if d.err != nil {
		return nil, 0, false, d.err
	}
	if d.kind != traffic.FramingChunked {
		return d.plain(b)
	}
	for used < len(b) && d.state != bodyDone {
		if d.state == bodyData {
			if data != nil {
				break
			}
			n := int(min(int64(len(b)-used), d.left))
			data = b[used : used+n : used+n]
			used += n
			if d.left -= int64(n); d.left == 0 {
				d.state = bodyDataCR
			}
			continue
		}
		n, err := d.frame(b[used:])
		used += n
		if err != nil {
			d.err = err
			if data != nil {
				return data, used, false, nil // the error comes with the next call
			}
			return nil, used, false, err
		}
	}
	return data, used, d.state == bodyDone, nil
}

func (d *Body) plain(b []byte) (data []byte, used int, done bool, err error) {
	if d.state == bodyDone {
		return nil, 0, true, nil
	}
	n := int(min(int64(len(b)), d.left))
	if d.kind == traffic.FramingLength {
		if d.left -= int64(n); d.left == 0 {
			d.state = bodyDone
		}
	}
	return b[:n:n], n, d.state == bodyDone, nil
}

// Trailers is the trailer section of a chunked body, without the fields that
// must not be there; empty until the body is complete. It is valid until the
// next Reset.
func (d *Body) Trailers() *traffic.Head { return &d.trailers }

// frame takes bytes that are no payload, up to the next payload or the end of
// b. On an error the byte that is wrong is not among those used.
func (d *Body) frame(b []byte) (int, error) {
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch d.state {
		case bodySize:
			if err := d.sizeByte(c); err != nil {
				return i, err
			}
		case bodyExt:
			switch {
			case c == '\r':
				d.state = bodySizeLF
			case c == '\n':
				return i, errBareLF
			case c < 0x20 && c != '\t', c == 0x7f:
				return i, errChunkExt
			default:
				if d.ext++; d.ext > maxExtensions {
					return i, errChunkExtLong
				}
			}
		case bodySizeLF:
			if c != '\n' {
				return i, errBareCR
			}
			d.begin()
		case bodyDataCR:
			if c == '\n' {
				return i, errBareLF
			}
			if c != '\r' {
				return i, errChunkEnd
			}
			d.state = bodyDataLF
		case bodyDataLF:
			if c != '\n' {
				return i, errBareCR
			}
			d.state = bodySize
		case bodyTrailers:
			n, err := d.trailer(b[i:])
			return i + n, err
		default:
			return i, nil
		}
	}
	return len(b), nil
}

// sizeByte takes a byte of a chunk's size (RFC 9112, section 7.1): hexadecimal
// digits that fit into 63 bits, then at once CRLF or an extension.
func (d *Body) sizeByte(c byte) error {
	if v := unhex[c]; v != 0xff {
		if d.size > math.MaxInt64>>4 {
			return errChunkSize
		}
		if d.digit++; d.digit > 16 {
			if d.ext++; d.ext > maxExtensions {
				return errChunkExtLong
			}
		}
		d.size = d.size<<4 | int64(v)
		return nil
	}
	switch {
	case d.digit == 0:
		return errChunkSize
	case c == '\r':
		d.state = bodySizeLF
	case c == ';':
		d.state = bodyExt
	case c == '\n':
		return errBareLF
	default:
		return errChunkSize
	}
	return nil
}

// begin starts the chunk whose size line is complete.
func (d *Body) begin() {
	d.left, d.ext = d.size, max(0, d.ext-d.size)
	d.state = bodyData
	if d.size == 0 {
		d.state = bodyTrailers
	}
	d.size, d.digit = 0, 0
}
