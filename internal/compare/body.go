package compare

import "bytes"

// equalBody reports whether the bytes say that the bodies are the same.
func equalBody(a, b *Message) bool {
	return !a.Cut && !b.Cut && bytes.Equal(a.Body, b.Body) && a.header("content-encoding") == b.header("content-encoding")
}

// differing compares whole bodies of different bytes.
func (c *Comparer) differing(r Request, st states, e *effect, a, b *Message) (Reason, uint64) {
	x, why := c.decode.body(c.bufA, a.header("content-encoding"), a.Body, c.opts.MaxBody)
	if why != "" {
		return why, 0
	}
	y, why := c.decode.body(c.bufB, b.header("content-encoding"), b.Body, c.opts.MaxBody)
	if why != "" {
		return why, 0
	}
	c.bufA, c.bufB = keep(c.bufA, x, a.Body), keep(c.bufB, y, b.Body)
	if bytes.Equal(x, y) {
		return "", 0
	}
	kind, why := agree(a, b, x, y)
	if (len(x) == 0 || len(y) == 0) && !kind.mayBeEmpty() {
		c.oneEmpty(x, y)
		return why, opaqueShape(a.Status, contentBytes)
	}
	if kind != contentBytes {
		note, bad := c.lowerBoth(kind, r, a, b, x, y)
		if note != "" {
			why = note
		}
		if bad == Malformed && kind != contentText {
			why = Malformed
			_, bad = c.lowerBoth(contentText, r, a, b, x, y)
		}
		switch bad {
		case "":
			c.walk(0, 0, st, e)
			return why, c.shape(a.Status, kind)
		case TooComplex, TooLarge, BadEncoding:
			return bad, 0
		}
		why = Malformed
	}
	c.opaqueBytes(x, y)
	return why, opaqueShape(a.Status, contentBytes)
}

// mayBeEmpty reports whether no bytes are a value of this content.
func (k content) mayBeEmpty() bool {
	return k == contentProto || k == contentGRPC || k == contentGRPCJSON || k == contentForm || k == contentLines
}

// oneEmpty records that one side has no body at all.
func (c *Comparer) oneEmpty(x, y []byte) {
	kind, present := Missing, x
	if len(x) == 0 {
		kind, present = Added, y
	}
	d := c.record(kind)
	if d == nil {
		return
	}
	v := bytesValue(present, int64(len(present)))
	if readable(present) {
		v = textValue(String, present)
	}
	if kind == Missing {
		d.A = v
	} else {
		d.B = v
	}
}

// keep returns decoded, to be used again, where it is not the body itself.
func keep(buf, decoded, body []byte) []byte {
	if len(decoded) == 0 || len(body) > 0 && &decoded[0] == &body[0] {
		return buf
	}
	return decoded[:0]
}

// lowerBoth reads both bodies the same way. bad is why they could not be read, note how they were not.
func (c *Comparer) lowerBoth(kind content, r Request, a, b *Message, x, y []byte) (note, bad Reason) {
	c.types = c.opts.Types
	bad = c.lowerEach(kind, r, a, b, x, y)
	if bad != Malformed || c.types == nil || kind != contentProto && kind != contentGRPC {
		return "", bad
	}
	c.types = nil
	return Misfit, c.lowerEach(kind, r, a, b, x, y)
}

// lowerEach reads both bodies as they are told. That one is malformed counts
// most, whichever it is.
func (c *Comparer) lowerEach(kind content, r Request, a, b *Message, x, y []byte) (bad Reason) {
	bad = c.lower(&c.a, kind, r, a, x)
	if bad == Malformed {
		return bad
	}
	if other := c.lower(&c.b, kind, r, b, y); bad == "" || other == Malformed {
		return other
	}
	return bad
}

// agree tells how both bodies are read.
func agree(a, b *Message, x, y []byte) (content, Reason) {
	kx, ky := contentOf(a.header("content-type")), contentOf(b.header("content-type"))
	if kx == ky && kx != contentUnknown {
		return kx, ""
	}
	why := Mixed
	if kx == ky {
		why = ""
	}
	if kx == contentUnknown || kx != ky {
		kx = guess(x)
	}
	if ky == contentUnknown || why != "" {
		ky = guess(y)
	}
	if kx == ky {
		return kx, why
	}
	if readable(x) && readable(y) {
		return contentText, why
	}
	return contentBytes, why
}

// opaqueBytes records decoded bodies of which only the bytes are known.
func (c *Comparer) opaqueBytes(x, y []byte) {
	if d := c.record(Opaque); d != nil {
		d.A, d.B = bytesValue(x, int64(len(x))), bytesValue(y, int64(len(y)))
	}
}
