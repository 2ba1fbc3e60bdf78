package framing

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// answered is what clients got of a raw answer and of the one after it.
type answered struct {
	answers []answer
	waits   bool
	raw     []byte
}

func (a *answered) String() string {
	var b strings.Builder
	for _, x := range a.answers {
		fmt.Fprintf(&b, "  %d with %d bytes %.60q, %v\n", x.status, len(x.body), x.body, x.err)
	}
	fmt.Fprintf(&b, "  waits %t, %.300q\n", a.waits, a.raw)
	return b.String()
}

// own tells an answer of the upstream: a proxy's own ones lack the field.
func (a *answered) own(i int) bool {
	return i < len(a.answers) && a.answers[i].first("x-up") != ""
}

// answer has the upstream answer the first request of a connection with raw
// bytes, and the second with a marked answer.
func (p *target) answer(t testing.TB, method string, raw []byte, end bool, quiet time.Duration) *answered {
	t.Helper()
	p.upstream.begin(func(r *recorded) ([]byte, bool) {
		if r.target == "/second" {
			return []byte("HTTP/1.1 200 OK\r\nx-up: 1\r\nx-second: 1\r\nContent-Length: 6\r\n\r\nsecond"), false
		}
		return raw, end
	})
	in := method + " /first HTTP/1.1\r\nHost: x\r\n\r\nGET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	a := &answered{}
	a.raw, a.waits = p.send(t, []byte(in), len(in), quiet)
	a.answers = readAnswers(a.raw, func(i int, _ head) bool { return i == 0 && method == "HEAD" })
	return a
}

// wrong says what must never be, whatever the upstream writes: an answer that
// can be read in two ways, more answers than requests, or for the second
// request something that is neither its own answer nor the proxy's.
func (a *answered) wrong() string {
	if len(a.answers) > 2 {
		return "more answers than requests"
	}
	for i, x := range a.answers {
		// A head that is cut short, or garbage, must not have been passed on.
		if x.err != nil && (x.start == "" || strings.Contains(x.err.Error(), errNot.Error())) {
			return fmt.Sprintf("answer %d: %v", i+1, x.err)
		}
	}
	if len(a.answers) == 2 && a.own(1) && a.answers[1].first("x-second") == "" {
		return "the second request got another answer"
	}
	return ""
}

// compareAnswers looks where two proxies framed the same answer differently.
func compareAnswers(a, b *answered, nameA, nameB string) (v verdict) {
	if !a.own(0) || !b.own(0) {
		switch {
		case a.own(0) != b.own(0):
			refuses, passes := nameA, nameB
			if a.own(0) {
				refuses, passes = nameB, nameA
			}
			v.kind("%s refuses an answer that %s passes on", refuses, passes)
		}
		return v
	}
	x, y := a.answers[0], b.answers[0]
	switch {
	case x.status != y.status:
		v.finding = fmt.Sprintf("%s passed on %d, %s %d", nameA, x.status, nameB, y.status)
	case !bytes.HasPrefix(x.body, y.body) && !bytes.HasPrefix(y.body, x.body):
		v.finding = fmt.Sprintf("%s passed on the body %.100q, %s %.100q", nameA, x.body, nameB, y.body)
	case x.err == nil && y.err == nil && len(x.body) != len(y.body):
		v.finding = fmt.Sprintf("%s passed on %d bytes of body, %s %d", nameA, len(x.body), nameB, len(y.body))
	case x.err == nil && y.err != nil && b.waits || y.err == nil && x.err != nil && a.waits:
		v.finding = fmt.Sprintf("the body is whole for one: %s waits %t, %s waits %t", nameA, a.waits, nameB, b.waits)
	case (x.err == nil) != (y.err == nil):
		v.kind("one of %s and %s breaks off a body that the other passes on", nameA, nameB)
	case a.own(1) != b.own(1):
		v.kind("one of %s and %s closes after the answer", nameA, nameB)
	}
	return v
}

// marked puts the field into the raw answer's head by which an answer of the
// upstream is known.
func marked(raw []byte) []byte {
	line, rest, ok := bytes.Cut(raw, []byte("\r\n"))
	if !ok {
		return raw
	}
	return slices.Concat(line, []byte("\r\nx-up: 1\r\n"), rest)
}

func checkAnswers(t testing.TB, sundog *target, peers []*target, method string, raw []byte, end bool) (*answered, []string) {
	t.Helper()
	raw = marked(raw)
	all := append([]*target{sundog}, peers...)
	results := make([]*answered, len(all))
	for i, quiet := range looks {
		together(all, func(i int, p *target) { results[i] = p.answer(t, method, raw, end, quiet) })
		var findings, kinds []string
		if w := results[0].wrong(); w != "" {
			findings = append(findings, "sundog: "+w)
		}
		for j, peer := range peers {
			if w := results[j+1].wrong(); w != "" {
				kinds = append(kinds, peer.name+" passes on what is wrong")
				continue
			}
			if peer.name == "nginx" && bytes.HasPrefix(results[j+1].raw, []byte("HTTP/1.1 1")) {
				kinds = append(kinds, "nginx takes an interim answer for the final one")
				continue
			}
			v := compareAnswers(results[0], results[j+1], "sundog", peer.name)
			kinds = append(kinds, v.kinds...)
			if v.finding != "" {
				findings = append(findings, v.finding+"\n"+peer.name+":\n"+results[j+1].String())
			}
		}
		if len(findings) == 0 {
			return results[0], kinds
		}
		if i == len(looks)-1 {
			for _, f := range findings {
				t.Errorf("%s, end %t, %.2000q\n%s\nsundog:\n%s", method, end, raw, f, results[0])
			}
		}
	}
	return results[0], nil
}

// answerVector is an answer, and the status that Sundog's client gets.
type answerVector struct {
	name, raw string
	end       bool
	status    int
}

func answerVectors() []answerVector {
	const ok = "HTTP/1.1 200 OK\r\n"
	const other = "HTTP/1.1 200 OK\r\nx-up: 1\r\nx-evil: 1\r\nContent-Length: 4\r\n\r\nevil"
	return []answerVector{
		{"length", ok + "Content-Length: 3\r\n\r\nabc", false, 200},
		{"chunked", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false, 200},
		{"until the end", ok + "\r\nabc", true, 200},
		{"close", ok + "Connection: close\r\n\r\nabc", true, 200},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nabc", true, 200},
		{"no content", "HTTP/1.1 204 No Content\r\n\r\n", false, 204},
		{"no content, with a body", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc", false, 502},
		{"not modified", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", false, 304},
		{"interim", "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + other, false, 200},
		{"another answer behind", ok + "Content-Length: 3\r\n\r\nabc" + other, false, 200},
		{"another answer behind chunks", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + other, false, 200},
		{"another answer behind 204", "HTTP/1.1 204 No Content\r\n\r\n" + other, false, 204},
		{"another answer behind 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 90\r\n\r\n" + other, false, 304},
		{"bytes behind", ok + "Content-Length: 3\r\n\r\nabcX", false, 200},
		{"length and chunked", ok + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 502},
		{"two lengths", ok + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", false, 502},
		{"the same length twice", ok + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", false, 502},
		{"list of lengths", ok + "Content-Length: 3, 3\r\n\r\nabc", false, 502},
		{"length with a plus", ok + "Content-Length: +3\r\n\r\nabc", false, 502},
		{"length beyond 64 bits", ok + "Content-Length: 18446744073709551619\r\n\r\nabc", false, 502},
		{"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 502},
		{"gzip", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", false, 502},
		{"chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false, 502},
		{"bare LF", "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 3\r\n\r\nabc", false, 502},
		{"folded", ok + "A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc", false, 502},
		{"space before the colon", ok + "Content-Length : 3\r\n\r\nabc", false, 200},
		{"101 unasked", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, 502},
		{"length cut short", ok + "Content-Length: 5\r\n\r\nabc", true, 200},
		{"chunk cut short", ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nabc", true, 200},
		{"chunks without an end", ok + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, 200},
		{"bad chunk", ok + "Transfer-Encoding: chunked\r\n\r\nz\r\n", false, 200},
		{"chunk size that wraps", ok + "Transfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n", false, 200},
		{"trailers", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\nA: b\r\n\r\n", false, 200},
		{"answer in the trailers", ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + other, false, 200},
		{"no status", "HTTP/1.1\r\n\r\n", false, 502},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, 502},
		{"status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", false, 502},
		{"CR in the reason", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", false, 502},
	}
}

// TestAnswers sends what poisons the answers of a connection.
func TestAnswers(t *testing.T) {
	sundog, peers := targets(t)
	for _, v := range answerVectors() {
		for _, method := range []string{"GET", "HEAD"} {
			t.Run(method+"/"+v.name, func(t *testing.T) {
				a, kinds := checkAnswers(t, sundog, peers, method, []byte(v.raw), v.end)
				if len(a.answers) == 0 || a.answers[0].status != v.status {
					t.Errorf("%q: want %d\n%s", v.raw, v.status, a)
				}
				slices.Sort(kinds)
				for _, k := range slices.Compact(kinds) {
					t.Log(k)
				}
			})
		}
	}
}

// FuzzAnswers looks for answers that Sundog and its peers frame differently.
func FuzzAnswers(f *testing.F) {
	for i, v := range answerVectors() {
		f.Add([]byte(v.raw), v.end, i%3 == 0)
	}
	sundog, peers := targets(f)
	f.Fuzz(func(t *testing.T, raw []byte, end, bare bool) {
		if len(raw) > 8192 {
			return
		}
		method := "GET"
		if bare {
			method = "HEAD"
		}
		_, kinds := checkAnswers(t, sundog, peers, method, raw, end)
		note(t, kinds)
	})
}
