package compare

import "bytes"

// parseText adds an array of the lines that are not empty, each with its white
// space made one space.
func parseText(t *tree, s span) Reason {
	if !t.add(node{typ: Array, text: s}) {
		return TooComplex
	}
	b := t.bytes(s)
	for from := 0; from < len(b); {
		to := len(b)
		if end := bytes.IndexByte(b[from:], '\n'); end >= 0 {
			to = from + end
		}
		if line := t.squeezed(b, from, to, s.from); line.from < line.to {
			if !t.add(node{typ: String, text: line}) {
				return TooComplex
			}
			t.nodes[0].count++
		}
		from = to + 1
	}
	t.close(0)
	return ""
}

// squeezed returns b[from:to] without white space at its ends, and with a
// space for each run of it between. base is where b stands in the tree.
func (t *tree) squeezed(b []byte, from, to int, base uint32) span {
	for from < to && blank(b[from]) {
		from++
	}
	for from < to && blank(b[to-1]) {
		to--
	}
	text := b[from:to]
	clean := true
	for k, c := range text {
		if blank(c) && (c != ' ' || blank(text[k+1])) { // the last one is not blank
			clean = false
			break
		}
	}
	if clean {
		return span{base + uint32(from), base + uint32(to)}
	}
	return t.squeeze(text)
}

func (t *tree) squeeze(text []byte) span {
	begin := uint32(len(t.src) + len(t.extra))
	gap := false
	for _, c := range text {
		if blank(c) {
			gap = true
			continue
		}
		if gap {
			t.extra = append(t.extra, ' ')
			gap = false
		}
		t.extra = append(t.extra, c)
	}
	return span{begin, uint32(len(t.src) + len(t.extra))}
}

func blank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

// parseForm adds an object of the fields of an application/x-www-form-urlencoded
// body (WHATWG URL, 5.1). A broken escape stands for itself.
func parseForm(t *tree, s span) Reason {
	b := t.bytes(s)
	if bytes.IndexByte(b, '\n') >= 0 || !readable(b) {
		return Malformed
	}
	if !t.add(node{typ: Object, text: s, flags: asFields}) {
		return TooComplex
	}
	for from := 0; from <= len(b); {
		to := len(b)
		if end := bytes.IndexByte(b[from:], '&'); end >= 0 {
			to = from + end
		}
		if from < to {
			name, value, _ := bytes.Cut(b[from:to], []byte("="))
			if !t.add(node{typ: String, key: t.unescaped(name), text: t.unescaped(value)}) {
				return TooComplex
			}
			t.nodes[0].count++
		}
		from = to + 1
	}
	t.close(0)
	return ""
}

func (t *tree) unescaped(b []byte) span {
	begin := uint32(len(t.src) + len(t.extra))
	for k := 0; k < len(b); k++ {
		c := b[k]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && k+2 < len(b) && unhex(b[k+1]) >= 0 && unhex(b[k+2]) >= 0:
			c = byte(unhex(b[k+1])<<4 | unhex(b[k+2]))
			k += 2
		}
		t.extra = append(t.extra, c)
	}
	return span{begin, uint32(len(t.src) + len(t.extra))}
}
