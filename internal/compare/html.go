package compare

import (
	"bytes"
	"slices"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlParser reads HTML into nested objects by the name of their elements,
// with "@name" for attributes and "#text" for text. White space, comments,
// letter case and the order of attributes do not count.
//
// It follows the tags as they stand, without the corrections of a browser,
// which make one missing tag change the whole tree.
type htmlParser struct {
	t    *tree
	z    *html.Tokenizer
	open []int // nodes of the open elements, the root first
	at   int   // offset behind the token
}

func parseHTML(t *tree) Reason {
	p := htmlParser{t: t, z: html.NewTokenizer(bytes.NewReader(t.src))}
	if !t.add(node{typ: Object, text: span{0, uint32(len(t.src))}, flags: asFields | ordered}) {
		return TooComplex
	}
	p.open = append(p.open, 0)
	for {
		typ := p.z.Next()
		from := p.at
		p.at += len(p.z.Raw())
		ok := true
		switch typ {
		case html.ErrorToken:
			for len(p.open) > 0 {
				p.shut(p.at)
			}
			return ""
		case html.TextToken:
			ok = p.text()
		case html.StartTagToken, html.SelfClosingTagToken:
			ok = p.start(from, typ == html.SelfClosingTagToken)
		case html.EndTagToken:
			p.end()
		}
		if !ok {
			return TooComplex
		}
	}
}

// top returns the innermost open element.
func (p *htmlParser) top() int { return p.open[len(p.open)-1] }

// shut ends the innermost open element, before the offset at.
func (p *htmlParser) shut(at int) {
	i := p.top()
	p.t.close(i)
	p.t.nodes[i].text.to = uint32(at)
	p.open = p.open[:len(p.open)-1]
}

func (p *htmlParser) child(n node) bool {
	p.t.nodes[p.top()].count++
	return p.t.add(n)
}

func (p *htmlParser) text() bool {
	s := p.t.squeeze(bytes.TrimFunc(p.z.Text(), func(r rune) bool { return r < 0x80 && blank(byte(r)) }))
	if s.from == s.to {
		return true
	}
	return p.child(node{key: p.t.noteString("#text"), text: s, typ: String})
}

func (p *htmlParser) start(from int, closed bool) bool {
	tag, more := p.z.TagName()
	a := atom.Lookup(tag)
	if top := p.t.bytes(p.t.nodes[p.top()].key); len(p.open) > 1 && (alone(a) && bytes.Equal(top, tag) || string(top) == "p" && block(a)) {
		p.shut(from)
	}
	i := len(p.t.nodes)
	n := node{key: p.t.note(tag), typ: Object, text: span{uint32(from), uint32(p.at)}, flags: asFields | ordered}
	if !p.child(n) {
		return false
	}
	p.open = append(p.open, i)
	var attributes []html.Attribute
	for more {
		var name, value []byte
		name, value, more = p.z.TagAttr()
		attributes = append(attributes, html.Attribute{Key: string(name), Val: string(value)})
	}
	slices.SortStableFunc(attributes, func(x, y html.Attribute) int { return bytes.Compare([]byte(x.Key), []byte(y.Key)) })
	for _, one := range attributes {
		if !p.child(node{key: p.t.noteString("@" + one.Key), text: p.t.squeeze(bytes.TrimSpace([]byte(one.Val))), typ: String}) {
			return false
		}
	}
	if closed || void(a) || len(p.open) > p.t.limit.depth {
		p.shut(p.at) // what is too deep becomes a sibling
	}
	return true
}

// end shuts the innermost element of the name and all within it.
func (p *htmlParser) end() {
	tag, _ := p.z.TagName()
	for k := len(p.open) - 1; k > 0; k-- {
		if bytes.Equal(p.t.bytes(p.t.nodes[p.open[k]].key), tag) {
			for len(p.open) > k {
				p.shut(p.at)
			}
			return
		}
	}
}

// void reports whether an element has no end tag (HTML 13.1.2).
func void(a atom.Atom) bool {
	switch a {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta,
		atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}

// alone reports whether an element ends where the next of its name begins.
func alone(a atom.Atom) bool {
	switch a {
	case atom.P, atom.Li, atom.Dt, atom.Dd, atom.Option, atom.Tr, atom.Td, atom.Th:
		return true
	}
	return false
}

// block reports whether an element ends a paragraph that is open (HTML 4.4.1, 13.1.2.4).
func block(a atom.Atom) bool {
	switch a {
	case atom.Address, atom.Article, atom.Aside, atom.Blockquote, atom.Center, atom.Details, atom.Dialog, atom.Div, atom.Dl,
		atom.Fieldset, atom.Figcaption, atom.Figure, atom.Footer, atom.Form, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5,
		atom.H6, atom.Header, atom.Hgroup, atom.Hr, atom.Main, atom.Menu, atom.Nav, atom.Ol, atom.Pre, atom.Section,
		atom.Table, atom.Ul:
		return true
	}
	return false
}
