package http1

import "bytes"

// trailer takes bytes of the trailer section, keeps them, and reads them once
// the section is complete.
func (d *Body) trailer(b []byte) (int, error) {
	used := 0
	for used < len(b) {
		i := bytes.IndexByte(b[used:], '\n')
		n := i + 1
		if i < 0 {
			n = len(b) - used
		}
		if room := d.lim.bytes() - len(d.section); n > room {
			return used, errTooLarge
		}
		d.section = append(d.section, b[used:used+n]...)
		if i < 0 {
			return len(b), nil
		}
		end := len(d.section) - 2
		if end < d.line || d.section[end] != '\r' {
			return used, errBareLF
		}
		if end == d.line {
			if err := d.readTrailers(); err != nil {
				return used, err
			}
			d.state = bodyDone
			return used + n, nil
		}
		d.line = len(d.section)
		if d.lines++; d.lines > d.lim.fields() {
			return used, errTooMany
		}
		used += n
	}
	return used, nil
}

func (d *Body) readTrailers() error {
	if len(d.section) == len("\r\n") {
		return nil
	}
	a := d.trailers.Load(d.section)
	var s section
	return s.parseFields(&d.trailers, a, 0, ofTrailers, d.lim.fields())
}
