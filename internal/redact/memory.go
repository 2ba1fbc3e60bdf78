package redact

import (
	"bytes"
	"encoding/base64"
	"errors"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// minRemembered is how long a secret is at least for its repetitions to be
// looked for. Shorter ones are found in everything.
const minRemembered = 4

// memory is the secrets of one request, with their pseudonyms.
type memory struct {
	collecting, sealed bool
	arena              []byte
	pairs              []pair
	begins             [256]bool // bytes that a secret begins with
	first              [256]bool // and the escapes
	steps              int       // that looking for secrets may still take
}

// pair is two pieces of the arena.
type pair struct{ secret, token traffic.Span }

// Remember forgets what the scratch remembers, and has it remember from now on
// each secret that a Redactor replaces, until Seal. It is for who looks at the
// answers of a request: an answer may repeat its request where no policy names
// a place for it.
func (s *Scratch) Remember() {
	s.Forget()
	s.secrets.collecting = true
}

// How much work it may be to look for secrets, in bytes compared.
const (
	InPassing = 1 << 20 // some milliseconds: of an event loop
	AtLeisure = 1 << 27 // well below a second: of a worker
)

// Seal ends what Remember began. From now on Head and Body replace each secret
// of 4 bytes or more that is remembered by its pseudonym wherever it stands:
// in values of fields, paths, strings and numbers of JSON, and any other body,
// also as URLs, JSON and HTML write it.
//
// The work is bounded by steps, InPassing or AtLeisure, since it is clients who
// say what is looked for. Beyond that Head leaves no value, and Body fails.
func (s *Scratch) Seal(steps int) {
	m := &s.secrets
	m.collecting, m.sealed, m.steps = false, true, steps
	if m.any() {
		m.first = m.begins
		for i := range len(escapes) {
			m.first[escapes[i]] = true
		}
	}
}

// Spent reports whether looking for secrets took more than Seal allowed.
func (s *Scratch) Spent() bool { return s.secrets.spent() }

var errSpent = errors.New("redact: the request holds too much that has to be looked for")

func (m *memory) spent() bool { return m.any() && m.steps <= 0 }

// Forget ends the memory of a request.
func (s *Scratch) Forget() {
	m := &s.secrets
	clear(m.arena)
	*m = memory{arena: m.arena[:0], pairs: m.pairs[:0]}
}

// any reports whether there is something to look for.
func (m *memory) any() bool { return m.sealed && len(m.pairs) > 0 }

func (m *memory) at(s traffic.Span) []byte { return m.arena[s.Off : s.Off+s.Len] }

func (m *memory) put(b []byte) traffic.Span {
	s := traffic.Span{Off: uint32(len(m.arena)), Len: uint32(len(b))}
	m.arena = append(m.arena, b...)
	return s
}

// add remembers a secret.
func (m *memory) add(secret, token []byte) {
	if !m.collecting || len(secret) < minRemembered {
		return
	}
	for _, p := range m.pairs {
		if bytes.Equal(m.at(p.secret), secret) {
			return
		}
	}
	m.pairs = append(m.pairs, pair{m.put(secret), m.put(token)})
	m.begins[secret[0]] = true
}

// addBasic remembers the user and the password of "Basic" credentials
// (RFC 7617), which answers repeat more often than their encoding.
func (r *Redactor) addBasic(s *Scratch, scheme, v []byte) {
	if !s.secrets.collecting || !traffic.EqualFold(scheme, "basic") {
		return
	}
	plain, err := base64.StdEncoding.AppendDecode(nil, v)
	if err != nil {
		return
	}
	user, password := cutByte(plain, ':')
	r.token(s, nil, user)
	r.token(s, nil, password)
}

// hasForm reports whether b begins like the pseudonym of a text.
func hasForm(b []byte) bool {
	if len(b) < textLen || string(b[:len(prefix)]) != prefix {
		return false
	}
	for _, c := range b[len(prefix):textLen] {
		if (c < 'a' || c > 'z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// match is the longest secret that b begins with.
func (m *memory) match(b []byte) (secret int, token []byte) {
	if !m.first[b[0]] {
		return 0, nil
	}
	set := m.spellingsOf(b)
	if set == 0 && !m.begins[b[0]] {
		return 0, nil
	}
	for _, p := range m.pairs {
		if m.steps <= 0 {
			return 0, nil
		}
		if n := m.spelled(set, b, m.at(p.secret)); n > secret {
			secret, token = n, m.at(p.token)
		}
	}
	return secret, token
}

// isSecret reports whether v is a secret as a whole.
func (m *memory) isSecret(v []byte) bool {
	if !m.any() {
		return false
	}
	n, _ := m.match(v)
	return n == len(v)
}

// scrub appends b with every secret replaced.
func (m *memory) scrub(dst, b []byte) []byte {
	kept := 0
	for i := 0; i < len(b); {
		if hasForm(b[i:]) {
			i += textLen
			continue
		}
		n, token := m.match(b[i:])
		if n == 0 {
			i++
			continue
		}
		dst = append(append(dst, b[kept:i]...), token...)
		i += n
		kept = i
	}
	return append(dst, b[kept:]...)
}

// holds reports whether a secret is in b.
func (m *memory) holds(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if hasForm(b[i:]) {
			i += textLen - 1
		} else if n, _ := m.match(b[i:]); n > 0 {
			return true
		}
	}
	return false
}

// scrubHead replaces remembered secrets in the path and all fields' values.
func (s *Scratch) scrubHead(h *traffic.Head) {
	m := &s.secrets
	found := m.holds(h.Path()) || m.holds(h.Authority())
	for i := 0; i < h.Len() && !found; i++ {
		_, value := h.Field(i)
		found = m.holds(value)
	}
	if !found && !m.spent() {
		return
	}
	n := s.begin(h)
	s.buf = m.scrub(s.buf[:0], h.Authority())
	n.SetAuthority(s.buf)
	s.buf = m.scrub(s.buf[:0], h.Path())
	n.SetPath(s.buf)
	for i := range h.Len() {
		name, value := h.Field(i)
		s.buf = m.scrub(s.buf[:0], value)
		n.AddSpans(n.Put(name), n.Put(s.buf))
	}
	if m.spent() {
		n = s.begin(h)
		n.SetAuthority(nil)
		for i := range h.Len() {
			name, _ := h.Field(i)
			n.Add(string(name), nil)
		}
	}
	h.CopyFrom(n)
}
