package hpack

import (
	"bytes"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// message puts decoded fields into a head, and checks them (RFC 9113,
// sections 8.2 and 8.3).
type message struct {
	h         *traffic.Head
	kind      Kind
	malformed *Malformed // the first thing that is wrong

	room, slots int // bytes and fields that may still come

	method, scheme, authority, path, protocol traffic.Span

	seen    uint32 // pseudo fields: 1<<tag
	regular bool   // a field that is none has come
	hosts   int
	length  int64 // -1: none

	cookies int
	crumbs  *[]byte // joined, if they are more than one
	connect bool    // extended CONNECT may come
}

// has reports whether the pseudo field has come.
func (m *message) has(t tag) bool { return m.seen&(1<<t) != 0 }

// add takes the next field. Once something is wrong, nothing is stored.
func (m *message) add(f *field) {
	if m.malformed != nil {
		return
	}
	if f.size > m.room {
		m.malformed = badSize
		return
	}
	m.room -= f.size
	if f.tag.pseudo() {
		m.malformed = m.addPseudo(f)
		return
	}
	m.regular = true
	m.malformed = m.addRegular(f)
}

func (m *message) addPseudo(f *field) *Malformed {
	if bad := m.checkPseudo(f); bad != nil {
		return bad
	}
	m.seen |= 1 << f.tag
	switch v := f.value; f.tag {
	case tagMethod:
		m.method = m.h.Put(v)
	case tagScheme:
		m.putScheme(v)
	case tagAuthority:
		m.authority = m.h.Put(v)
	case tagPath:
		m.path = m.h.Put(v)
	case tagProtocol:
		m.protocol = m.h.Put(v)
	case tagStatus:
		m.h.Status = int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0')
	}
	return nil
}

func (m *message) checkPseudo(f *field) *Malformed {
	switch t := f.tag; {
	case t == tagUnknown:
		return badPseudo
	case m.kind == Trailers || (m.kind == Response) != (t == tagStatus):
		return badKind
	case t == tagProtocol && !m.connect:
		return badProtocol
	case m.regular:
		return badOrder
	case m.has(t):
		return badTwice
	case !f.valid:
		return invalid(t)
	}
	return nil
}

// invalid says what a value is that the pseudo field may not have.
func invalid(t tag) *Malformed {
	switch t {
	case tagMethod:
		return badMethod
	case tagScheme:
		return badScheme
	case tagAuthority:
		return badAuthority
	case tagPath:
		return badPath
	case tagProtocol:
		return badProtocolName
	}
	return badStatus
}

// putScheme stores it in lower case.
func (m *message) putScheme(v []byte) {
	var low [maxScheme]byte
	for i, c := range v {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		low[i] = c
	}
	m.scheme = m.h.Put(low[:len(v)])
}

func (m *message) addRegular(f *field) *Malformed {
	switch {
	case f.tag == tagBadName:
		return badName
	case !f.valid:
		return badValue
	case f.tag == tagConnection:
		return badConnection
	case f.tag == tagTE && !traffic.EqualFold(f.value, "trailers"):
		return badTE
	}
	if f.tag == tagCookie && m.kind == Request {
		if m.cookies++; m.cookies > 1 {
			m.addCrumb(f.value)
			return nil
		}
	}
	if m.slots == 0 {
		return badCount
	}
	m.slots--
	switch {
	case m.kind == Trailers:
		if http1.ForbiddenTrailer(f.name) {
			return nil
		}
	case f.tag == tagHost && m.kind == Request:
		return m.addHost(f.value)
	case f.tag == tagLength:
		n, ok := http1.ParseLength(f.value)
		if !ok {
			return badLength
		}
		if m.length >= 0 {
			if n != m.length {
				return badLengths
			}
			return nil
		}
		m.length = n
	}
	m.h.AddSpans(m.h.Put(f.name), m.h.Put(f.value))
	return nil
}

// addCrumb joins the next piece of Cookie to those before it (RFC 9113,
// section 8.2.3).
func (m *message) addCrumb(v []byte) {
	if m.cookies == 2 {
		first, _ := m.h.Get("cookie")
		*m.crumbs = append((*m.crumbs)[:0], first...)
	}
	*m.crumbs = append(append(*m.crumbs, "; "...), v...)
}

func (m *message) addHost(v []byte) *Malformed {
	if m.hosts++; m.hosts > 1 {
		return badTwoHosts
	}
	if !http1.IsAuthority(v) {
		return badHost
	}
	if !m.has(tagAuthority) {
		m.authority = m.h.Put(v)
		return nil
	}
	m.setLine()
	if !bytes.EqualFold(v, m.h.Authority()) {
		return badConflict
	}
	return nil
}

func (m *message) setLine() { m.h.SetRequestLine(m.method, m.scheme, m.authority, m.path) }

// finish looks at the message as a whole.
func (m *message) finish() {
	if m.kind == Request {
		m.setLine()
	}
	if m.malformed == nil {
		switch m.kind {
		case Request:
			m.malformed = m.finishRequest()
		case Response:
			m.malformed = m.finishResponse()
		}
	}
	if m.malformed != nil {
		m.length = -1
		return
	}
	if m.cookies > 1 {
		m.h.Set("cookie", *m.crumbs)
	}
}

func (m *message) finishRequest() *Malformed {
	if !m.has(tagMethod) {
		return badNoMethod
	}
	connect, extended := string(m.h.Method()) == "CONNECT", m.has(tagProtocol)
	if connect && !extended {
		switch {
		case m.has(tagScheme) || m.has(tagPath):
			return badConnect
		case !m.has(tagAuthority):
			return badNoHost
		case !http1.IsHostPort(m.h.Authority()):
			return badAuthority
		}
		return m.noBody()
	}
	switch {
	case !m.has(tagScheme):
		return badNoScheme
	case !m.has(tagPath):
		return badNoPath
	case !m.has(tagAuthority) && m.hosts == 0:
		return badNoHost
	case m.h.Path()[0] == '*' && string(m.h.Method()) != "OPTIONS":
		return badPath
	case extended && !connect:
		return badNoConnect
	case extended:
		return m.finishUpgrade()
	}
	return nil
}

// finishUpgrade makes extended CONNECT the upgrade that HTTP/1.1 knows.
func (m *message) finishUpgrade() *Malformed {
	m.h.SetMethod(upgradeMethod)
	m.h.Add("connection", upgradeOption)
	m.h.AddSpans(m.h.Put(upgradeOption), m.protocol)
	return m.noBody()
}

var upgradeMethod, upgradeOption = []byte("GET"), []byte("upgrade")

func (m *message) finishResponse() *Malformed {
	switch s := m.h.Status; {
	case s == 0:
		return badNoStatus
	case s == 101:
		return badSwitching
	case s < 200 || s == 204:
		return m.noBody()
	}
	return nil
}

// noBody takes Content-Length away where there is no body by nature. It may
// say that there is none.
func (m *message) noBody() *Malformed {
	if m.length > 0 {
		return badNoBody
	}
	if m.length == 0 {
		m.h.Del("content-length")
		m.length = -1
	}
	return nil
}
