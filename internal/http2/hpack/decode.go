package hpack

import (
	"math"
	"math/bits"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// Kind is what a header block belongs to.
type Kind uint8

// The kinds of header blocks. A Response may be an informational one.
const (
	Request Kind = iota
	Response
	Trailers
)

// maxTableSize keeps table sizes within an int of 32 bits.
const maxTableSize = 1 << 30

// keepScratch is how much of its scratch memory a decoder keeps from one
// block to the next, in bytes.
const keepScratch = 8 << 10

// Decoder decodes the header blocks that a peer sends on one connection, in
// the order in which they come. It must be given each of them, also those of
// streams that are refused or unknown, for they change the dynamic table.
type Decoder struct {
	table   table
	setting int // what a table size update may set at most
	connect bool
	scratch []byte
	crumbs  []byte // of Cookie
	length  int64
}

// Init makes d ready for a new connection. maxTable is our
// SETTINGS_HEADER_TABLE_SIZE in bytes. Whatever it is, the table starts with
// 4096 bytes, as the peer's does before it has seen our settings.
func (d *Decoder) Init(maxTable uint32) {
	*d = Decoder{setting: int(min(maxTable, maxTableSize)), length: -1}
	d.table.max = initialTable
}

// AllowConnect lets requests be extended CONNECT (RFC 8441). Such a request
// becomes what it would be over HTTP/1.1: a GET whose Upgrade is the :protocol.
func (d *Decoder) AllowConnect() { d.connect = true }

// Length is the Content-Length of the message decoded last, in bytes; -1 if
// it has none, and of trailers.
func (d *Decoder) Length() int64 { return d.length }

// Decode decodes a complete header block into h, which has been Reset. It
// keeps no part of block.
//
// An error is an *Error and of the connection: no further block can be
// decoded, and h holds nothing useful. Otherwise the block was decoded to its
// end. If malformed is not nil, h holds the fields before the one that was
// wrong or exceeded a limit, unjoined; what follows was not stored.
//
// Host becomes the authority, where there is no :authority, and is no field
// of a request. Host beside an :authority must be equal to it but for case.
// Crumbs of Cookie become one field. Content-Length stays a field, once, as
// in HTTP/1; see Length. It is dropped where there is no body by nature, in
// CONNECT and statuses 1xx and 204, and must have said 0 there. In trailers h
// gets no field that would change what was decided without it, as in HTTP/1.
func (d *Decoder) Decode(h *traffic.Head, block []byte, kind Kind, lim http1.Limits) (malformed *Malformed, err error) {
	h.Minor, h.HTTP2 = 1, true
	lim = lim.OrDefault()
	m := message{h: h, kind: kind, room: lim.Bytes, slots: lim.Fields, length: -1, crumbs: &d.crumbs, connect: d.connect}
	d.length = -1
	// Nothing longer than this is stored in the head or in the table.
	longest := max(m.room, d.table.max, d.setting)
	var f field
	for first := true; len(block) > 0; {
		isField := false
		if block, isField, err = d.next(block, &f, first, longest); err != nil {
			return nil, err
		}
		if isField {
			first = false
			m.add(&f)
		}
	}
	m.finish()
	d.length = m.length
	if cap(d.scratch) > keepScratch {
		d.scratch = nil
	}
	if cap(d.crumbs) > keepScratch {
		d.crumbs = nil
	}
	return m.malformed, nil
}

// next reads one field into f, or a table size update, which may come before
// the first field only. f is valid until the next call.
func (d *Decoder) next(b []byte, f *field, first bool, longest int) (rest []byte, isField bool, err error) {
	switch c := b[0]; {
	case c&0x80 != 0: // indexed
		i, rest, err := readInt(b, 7)
		if err != nil {
			return nil, false, err
		}
		if !d.at(i, f) {
			return nil, false, errIndex
		}
		return rest, true, nil
	case c&0xc0 == 0x40: // literal, to be indexed
		if rest, err = d.literal(b, f, 6, longest); err == nil {
			d.table.add(f)
		}
		return rest, true, err
	case c&0xe0 == 0x20:
		if !first {
			return nil, false, errUpdateLate
		}
		rest, err = d.update(b)
		return rest, false, err
	}
	// A literal that is not to be indexed, or never by anybody.
	rest, err = d.literal(b, f, 4, longest)
	return rest, true, err
}

// update reads a table size update.
func (d *Decoder) update(b []byte) (rest []byte, err error) {
	n, rest, err := readInt(b, 5)
	if err != nil {
		return nil, err
	}
	if n > uint64(d.setting) {
		return nil, errUpdateSize
	}
	d.table.resize(int(n))
	return rest, nil
}

// at makes f the field with index i; its bytes are the table's.
func (d *Decoder) at(i uint64, f *field) bool {
	const dynamic = uint64(len(staticTable))
	switch {
	case i == 0:
		return false
	case i < dynamic:
		*f = staticTable[i]
		return true
	case i-dynamic < uint64(d.table.n):
		*f = d.table.get(int(i - dynamic))
		return true
	}
	return false
}

// literal reads a literal field whose index of the name has a prefix of so
// many bits. The bytes of f are not the dynamic table's.
func (d *Decoder) literal(b []byte, f *field, prefix, longest int) (rest []byte, err error) {
	i, b, err := readInt(b, prefix)
	if err != nil {
		return nil, err
	}
	d.scratch = d.scratch[:0]
	size := overhead
	if i > 0 {
		if !d.at(i, f) {
			return nil, errIndex
		}
		size += len(f.name)
		if i >= uint64(len(staticTable)) {
			d.scratch = append(d.scratch, f.name...)
			f.name = d.scratch
		}
	} else {
		var n int
		if f.name, n, b, err = d.readString(b, longest); err != nil {
			return nil, err
		}
		size += n
		f.tag = tagOf(f.name)
	}
	value, n, rest, err := d.readString(b, longest)
	if err != nil {
		return nil, err
	}
	f.value, f.size = value, size+n
	f.valid = f.tag.takes(value)
	return rest, nil
}

// readString reads a string (RFC 7541, section 5.2) of n bytes. One of more
// than longest bytes may be cut short. s is part of b or of the scratch memory.
func (d *Decoder) readString(b []byte, longest int) (s []byte, n int, rest []byte, err error) {
	if len(b) == 0 {
		return nil, 0, nil, errTruncated
	}
	coded := b[0]&0x80 != 0
	size, b, err := readInt(b, 7)
	if err != nil {
		return nil, 0, nil, err
	}
	if size > uint64(len(b)) {
		return nil, 0, nil, errTruncated
	}
	s, rest = b[:size], b[size:]
	if !coded {
		return s, len(s), rest, nil
	}
	from := len(d.scratch)
	room := min(len(s)*8/5, longest) // no code has less than five bits
	if cap(d.scratch)-from < room {
		d.scratch = append(make([]byte, 0, max(256, 1<<bits.Len(uint(from+room-1)))), d.scratch...)
	}
	dst := d.scratch[from : from+room]
	n, ok := decodeHuffman(dst, s)
	if !ok {
		return nil, 0, nil, errHuffman
	}
	dst = dst[:min(n, room)]
	d.scratch = d.scratch[:from+len(dst)]
	return dst, n, rest, nil
}

// readInt reads an integer with a prefix of so many bits (RFC 7541, section
// 5.1) from b, which is not empty. One that could not be read without
// overflow is larger than all that it could mean.
func readInt(b []byte, prefix int) (n uint64, rest []byte, err error) {
	mask := byte(1<<prefix - 1)
	if c := b[0] & mask; c < mask {
		return uint64(c), b[1:], nil
	}
	n = uint64(mask)
	for i, c := range b[1:] {
		if n > math.MaxUint32 || i > 8 {
			return 0, nil, errInteger
		}
		n += uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return n, b[i+2:], nil
		}
	}
	return 0, nil, errTruncated
}
