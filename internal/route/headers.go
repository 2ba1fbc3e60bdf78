package route

import "github.com/sundog-mesh/sundog/internal/traffic"

// appendAction is HeaderValueOption.append_action.
type appendAction uint8

const (
	appendOrAdd      appendAction = iota // APPEND_IF_EXISTS_OR_ADD
	addIfAbsent                          // ADD_IF_ABSENT
	overwriteOrAdd                       // OVERWRITE_IF_EXISTS_OR_ADD
	overwriteIfExist                     // OVERWRITE_IF_EXISTS
)

// headerOp sets or adds one field.
type headerOp struct {
	name      string // lower case
	nameBytes []byte
	value     format
	action    appendAction
	keepEmpty bool
}

// headerOps is one level's changes to a head (Envoy's HeaderParser).
type headerOps struct {
	remove []string // lower case
	set    []headerOp
}

// skipped marks an operation that does nothing for this head.
const skipped = ^uint32(0)

// apply removes first. Then all values are made from the head as it is, so
// that no value sees another's change; then come the fields that overwrite,
// and last those that add.
func (o *headerOps) apply(h, request, response *traffic.Head, ctx *Context) {
	for _, name := range o.remove {
		h.Del(name)
	}
	if len(o.set) == 0 {
		return
	}
	if len(o.set) == 1 { // no other value to see a change
		op := &o.set[0]
		if span := op.prepare(h, request, response, ctx); span.Len != skipped {
			op.apply(h, span)
		}
		return
	}
	spans := ctx.spans[:0]
	for i := range o.set {
		spans = append(spans, o.set[i].prepare(h, request, response, ctx))
	}
	for i := range o.set {
		if spans[i].Len != skipped && o.set[i].action >= overwriteOrAdd {
			o.set[i].apply(h, spans[i])
		}
	}
	for i := range o.set {
		if spans[i].Len != skipped && o.set[i].action < overwriteOrAdd {
			o.set[i].apply(h, spans[i])
		}
	}
	ctx.spans = spans
}

// prepare makes the value in the head's arena.
func (op *headerOp) prepare(h, request, response *traffic.Head, ctx *Context) traffic.Span {
	none := traffic.Span{Len: skipped}
	switch op.action {
	case addIfAbsent:
		if h.Has(op.name) {
			return none
		}
	case overwriteIfExist:
		if !h.Has(op.name) {
			return none
		}
	}
	var buf [256]byte
	value := buf[:0]
	if len(op.value) == 1 && op.value[0].op == opText {
		value = op.value[0].text
	} else {
		value = op.value.append(value, request, response, ctx)
	}
	if len(value) == 0 && !op.keepEmpty {
		return none
	}
	return h.Put(value)
}

func (op *headerOp) apply(h *traffic.Head, value traffic.Span) {
	if op.action >= overwriteOrAdd {
		h.Del(op.name)
	}
	h.AddSpans(h.Put(op.nameBytes), value)
}
