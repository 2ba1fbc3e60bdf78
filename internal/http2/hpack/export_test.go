package hpack

// Field is a decoded field before any rule of HTTP.
type Field struct{ Name, Value string }

// Raw decodes a block as Decode does, without a head.
func (d *Decoder) Raw(block []byte) (fields []Field, err error) {
	var f field
	for first := true; len(block) > 0; {
		isField := false
		if block, isField, err = d.next(block, &f, first, 1<<20); err != nil {
			return fields, err
		}
		if isField {
			first = false
			fields = append(fields, Field{string(f.name), string(f.value)})
		}
	}
	return fields, nil
}

// Table returns the dynamic table, the newest entry first, and its size.
func (d *Decoder) Table() (fields []Field, size int) {
	for i := range d.table.n {
		f := d.table.get(i)
		fields = append(fields, Field{string(f.name), string(f.value)})
	}
	return fields, d.table.size
}

// Memory is what the decoder holds between two blocks, in bytes.
func (d *Decoder) Memory() int {
	const entrySize = 16
	return cap(d.scratch) + cap(d.crumbs) + cap(d.table.buf) + entrySize*cap(d.table.entries)
}

// For tests.
var (
	DecodeHuffman = decodeHuffman
	ReadInt       = readInt
	AppendInt     = appendInt
	StaticName    = staticName
)

// StaticField returns an entry of the static table.
func StaticField(i int) Field {
	return Field{string(staticTable[i].name), string(staticTable[i].value)}
}
