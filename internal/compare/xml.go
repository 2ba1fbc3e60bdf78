package compare

import (
	"bytes"
	"encoding/xml"
	"slices"
	"strings"
)

// parseXML reads XML into nested objects as parseHTML does HTML. Prefixes of
// names stay as written; processing instructions and comments do not count.
func parseXML(t *tree) Reason {
	d := xml.NewDecoder(bytes.NewReader(t.src))
	if !t.add(node{typ: Object, text: span{0, uint32(len(t.src))}, flags: asFields | ordered}) {
		return TooComplex
	}
	open := []int{0}
	for {
		from := d.InputOffset()
		token, err := d.RawToken()
		if err != nil {
			if len(open) > 1 || t.nodes[0].count == 0 || d.InputOffset() < int64(len(t.src)) {
				return Malformed
			}
			t.close(0)
			return ""
		}
		top := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			open = append(open, len(t.nodes))
			if len(open) > t.limit.depth || !t.element(top, token, from) {
				return TooComplex
			}
		case xml.EndElement:
			if len(open) == 1 || string(t.bytes(t.nodes[top].key)) != xmlName(token.Name) {
				return Malformed
			}
			t.close(top)
			t.nodes[top].text.to = uint32(d.InputOffset())
			open = open[:len(open)-1]
		case xml.CharData:
			s := t.squeeze(bytes.TrimSpace(token))
			if s.from == s.to {
				continue
			}
			t.nodes[top].count++
			if !t.add(node{key: t.noteString("#text"), text: s, typ: String}) {
				return TooComplex
			}
		}
	}
}

// element adds an element with its attributes.
func (t *tree) element(parent int, e xml.StartElement, from int64) bool {
	i := len(t.nodes)
	t.nodes[parent].count++
	if !t.add(node{key: t.noteString(xmlName(e.Name)), typ: Object, text: span{uint32(from), uint32(from)}, flags: asFields | ordered}) {
		return false
	}
	slices.SortFunc(e.Attr, func(x, y xml.Attr) int { return strings.Compare(xmlName(x.Name), xmlName(y.Name)) })
	for _, a := range e.Attr {
		t.nodes[i].count++
		if !t.add(node{key: t.noteString("@" + xmlName(a.Name)), text: t.noteString(a.Value), typ: String}) {
			return false
		}
	}
	return true
}

func xmlName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
