package framing

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// message is what became of one of the messages that a proxy saw.
type message struct {
	forwarded *recorded // nil: the proxy answered itself
	status    int       // of the answer; 0: there was none
}

// seen is what a proxy made of a client's bytes.
type seen struct {
	messages []message
	waits    bool   // for more, or else the connection was closed
	answers  []byte // as the client got them
	wrong    error  // the proxy wrote what can be read in two ways
}

func (s *seen) String() string {
	var b strings.Builder
	for _, m := range s.messages {
		if m.forwarded == nil {
			fmt.Fprintf(&b, "  answered %d\n", m.status)
		} else {
			fmt.Fprintf(&b, "  forwarded %s, answered %d\n", m.forwarded, m.status)
		}
	}
	if s.wrong != nil {
		fmt.Fprintf(&b, "  wrote wrongly: %v\n", s.wrong)
	}
	if s.waits {
		return b.String() + "  and waits for more\n"
	}
	return b.String() + "  and closed the connection\n"
}

// send writes the client's bytes, in two parts, and reads until the proxy
// closes or nothing has happened for a while.
func (p *target) send(t testing.TB, in []byte, cut int, quiet time.Duration) (answers []byte, waits bool) {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	must(t, err)
	defer func() { _ = conn.Close() }()
	go func() { // a proxy may answer early and read no more
		cut = min(max(cut, 0), len(in))
		if _, err := conn.Write(in[:cut]); err == nil {
			_, _ = conn.Write(in[cut:])
		}
	}()
	p.upstream.touch()
	buf := make([]byte, 16<<10)
	for {
		must(t, conn.SetReadDeadline(time.Now().Add(quiet/4)))
		n, err := conn.Read(buf)
		answers = append(answers, buf[:n]...)
		if n > 0 {
			p.upstream.touch()
		}
		switch idle := time.Since(time.Unix(0, p.upstream.active.Load())); {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return answers, false
		case idle > quiet:
			return answers, true
		}
	}
}

// requests sends a client's bytes and tells what messages they were.
func (p *target) requests(t testing.TB, in []byte, cut int, quiet time.Duration) *seen {
	t.Helper()
	p.upstream.begin(nil)
	s := &seen{}
	s.answers, s.waits = p.send(t, in, cut, quiet)
	got := p.upstream.got()
	answers := readAnswers(s.answers, func(_ int, h head) bool { return false })
	if loose := readAnswersLoosely(s.answers); len(loose) > len(answers) {
		answers = loose
	}
	numbered := map[int]bool{}
	for _, a := range answers {
		if n, err := strconv.Atoi(a.first("x-number")); err == nil {
			numbered[n] = true
		}
	}
	next := 0
	for _, a := range answers {
		m := message{status: a.status}
		n, err := strconv.Atoi(a.first("x-number"))
		for err == nil && next < len(got) && got[next].number < n { // never answered
			s.messages = append(s.messages, message{forwarded: &got[next]})
			next++
		}
		if next < len(got) && (err == nil && got[next].number == n || err != nil && !numbered[got[next].number]) {
			m.forwarded = &got[next]
			next++
		}
		s.messages = append(s.messages, m)
	}
	for ; next < len(got); next++ {
		s.messages = append(s.messages, message{forwarded: &got[next]})
	}
	for _, q := range got {
		s.wrong = errors.Join(s.wrong, q.ambiguous)
	}
	return s
}

// readAnswersLoosely takes answers to HEAD, which have a length and no body,
// for what they are: another answer follows their head.
func readAnswersLoosely(data []byte) []answer {
	rest := data
	return readAnswers(data, func(_ int, h head) bool {
		_, after, ok := bytes.Cut(rest, []byte("\r\n\r\n"))
		if !ok {
			return false
		}
		bare := len(after) == 0 || bytes.HasPrefix(after, []byte("HTTP/1."))
		if n, err := h.framing(); !bare && err == nil && n > 0 && n <= int64(len(after)) {
			after = after[n:]
		}
		rest = after
		return bare
	})
}
