package framing

import (
	"strings"
)

// vector is a client's bytes and the statuses with which Sundog answers: first
// those of what they are, last that of the sentinel, unless the connection
// ended before it.
type vector struct {
	name, in string
	want     []int
}

const (
	get      = "GET / HTTP/1.1\r\nHost: x\r\n"
	post     = "POST / HTTP/1.1\r\nHost: x\r\n"
	old      = "POST / HTTP/1.0\r\nHost: x\r\n"
	chunked  = post + "Transfer-Encoding: chunked\r\n\r\n"
	smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
)

// vectors are what request smuggling is made of, and what is plainly right.
func vectors() (all []vector) {
	all = append(all, plain()...)
	all = append(all, lengths()...)
	all = append(all, codings()...)
	all = append(all, chunks()...)
	all = append(all, lines()...)
	return append(all, startLines()...)
}

func plain() []vector {
	ok := func(n int) []int {
		out := make([]int, n)
		for i := range out {
			out[i] = 200
		}
		return out
	}
	return []vector{
		{"nothing", "", ok(1)},
		{"one", get + "\r\n", ok(2)},
		{"pipelined", strings.Repeat(get+"\r\n", 5), ok(6)},
		{"pipelined bodies", strings.Repeat(post+"Content-Length: 3\r\n\r\nabc", 3), ok(4)},
		{"pipelined chunks", strings.Repeat(chunked+"3\r\nabc\r\n0\r\n\r\n", 3), ok(4)},
		{"mixed", post + "Content-Length: 3\r\n\r\nabc" + chunked + "0\r\n\r\n" + get + "\r\n", ok(4)},
		{"body that looks like a request", post + "Content-Length: 37\r\n\r\n" + smuggled + "xx", ok(2)},
		{"chunk that looks like a request", chunked + "23\r\n" + smuggled + "\r\n0\r\n\r\n", ok(2)},
		{"GET with a body", get + "Content-Length: 3\r\n\r\nabc", ok(2)},
		{"HEAD", "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", ok(2)},
		{"length 0", post + "Content-Length: 0\r\n\r\n", ok(2)},
		{"length with zeros", post + "Content-Length: 0003\r\n\r\nabc", ok(2)},
		{"large length", post + "Content-Length: 9223372036854775807\r\n\r\nabc", []int{0}},
		{"mixed case", "pOST / HTTP/1.1\r\nhOST: x\r\ncONTENT-lENGTH: 3\r\n\r\nabc", []int{200, 200}},
		{"chunked in capitals", post + "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ok(2)},
		{"white space around values", post + "Content-Length: \t 3 \t\r\n\r\nabc", ok(2)},
		{"close", get + "Connection: close\r\n\r\n" + smuggled, ok(1)},
		{"close as the client says it", get + "Connection: x, CLOSE\r\n\r\n" + smuggled, ok(1)},
		{"expect", post + "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", ok(2)},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\n\r\n" + smuggled, ok(1)},
		{"HTTP/1.0 kept", "GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", ok(2)},
		{"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", ok(1)},
		{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", ok(2)},
		{"length is hop-by-hop", post + "Connection: content-length\r\nContent-Length: 3\r\n\r\nabc", ok(2)},
		{"coding is hop-by-hop", post + "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ok(2)},
	}
}

func lengths() []vector {
	var all []vector
	for name, fields := range map[string]string{
		"plus":                "Content-Length: +3",
		"minus":               "Content-Length: -3",
		"hexadecimal":         "Content-Length: 0x3",
		"empty":               "Content-Length:",
		"list":                "Content-Length: 3, 3",
		"list of different":   "Content-Length: 3, 40",
		"twice":               "Content-Length: 3\r\nContent-Length: 3",
		"twice, different":    "Content-Length: 3\r\nContent-Length: 40",
		"beyond 63 bits":      "Content-Length: 9223372036854775808",
		"beyond 64 bits":      "Content-Length: 18446744073709551619",
		"many digits":         "Content-Length: " + strings.Repeat("0", 300) + "3",
		"fraction":            "Content-Length: 3.0",
		"exponent":            "Content-Length: 3e0",
		"space within":        "Content-Length: 3 4",
		"semicolon":           "Content-Length: 3;4",
		"quoted":              "Content-Length: \"3\"",
		"vertical tab":        "Content-Length: \v3",
		"form feed":           "Content-Length: 3\f",
		"NUL":                 "Content-Length: 3\x00",
		"underscore":          "Content_Length: 3",
		"space before colon":  "Content-Length : 3",
		"tab before colon":    "Content-Length\t: 3",
		"folded":              "Content-Length:\r\n 3",
		"leading space":       " Content-Length: 3",
		"NUL in the name":     "Content-Length\x00: 3",
		"no colon":            "Content-Length 3",
		"high byte in front":  "\xa0Content-Length: 3",
		"after a bare CR":     "A: b\rContent-Length: 3",
		"after a bare LF":     "A: b\nContent-Length: 3",
		"with chunked":        "Content-Length: 3\r\nTransfer-Encoding: chunked",
		"after chunked":       "Transfer-Encoding: chunked\r\nContent-Length: 3",
		"with identity":       "Content-Length: 3\r\nTransfer-Encoding: identity",
		"in a quoted newline": "A: \"\r\nContent-Length: 3\r\nB: \"",
	} {
		all = append(all, vector{"length: " + name, post + fields + "\r\n\r\nabc", []int{400}})
	}
	for i := range all {
		switch all[i].name {
		case "length: in a quoted newline", "length: many digits":
			all[i].want = []int{200, 200}
		case "length: underscore": // is no length: the next message's method is abcGET
			all[i].want = []int{200, 200}
		}
	}
	return all
}

func codings() []vector {
	var all []vector
	for _, c := range []struct {
		name, fields string
		status       int
	}{
		{"twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400},
		{"twice, other", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", 400},
		{"list", "Transfer-Encoding: chunked, chunked", 400},
		{"identity last", "Transfer-Encoding: chunked, identity", 400},
		{"identity first", "Transfer-Encoding: identity, chunked", 501},
		{"gzip", "Transfer-Encoding: gzip, chunked", 501},
		{"unknown", "Transfer-Encoding: xchunked", 501},
		{"tail", "Transfer-Encoding: chunkedx", 501},
		{"parameter", "Transfer-Encoding: chunked;a=b", 400},
		{"quoted", "Transfer-Encoding: \"chunked\"", 400},
		{"single quotes", "Transfer-Encoding: 'chunked'", 501},
		{"empty", "Transfer-Encoding:", 400},
		{"comma first", "Transfer-Encoding: , chunked", 400},
		{"comma last", "Transfer-Encoding: chunked,", 400},
		{"vertical tab", "Transfer-Encoding: \vchunked", 400},
		{"form feed", "Transfer-Encoding: chunked\f", 400},
		{"NUL", "Transfer-Encoding: chunked\x00", 400},
		{"high space", "Transfer-Encoding: \xa0chunked", 400},
		{"space before colon", "Transfer-Encoding : chunked", 400},
		{"tab before colon", "Transfer-Encoding\t: chunked", 400},
		{"folded", "Transfer-Encoding:\r\n chunked", 400},
		{"folded tail", "Transfer-Encoding: chunked\r\n , identity", 400},
		{"leading space", " Transfer-Encoding: chunked", 400},
		{"bare CR", "A: b\rTransfer-Encoding: chunked", 400},
		{"bare LF", "A: b\nTransfer-Encoding: chunked", 400},
		{"LF CR", "A: b\n\rTransfer-Encoding: chunked", 400},
		{"underscore", "Transfer_Encoding: chunked", 200},
		{"another name", "X-Transfer-Encoding: chunked", 200},
		{"high byte in the name", "Transfer-Encoding\xff: chunked", 400},
	} {
		want := []int{c.status}
		if c.status == 200 { // the chunks are the next message
			want = []int{200, 400}
		}
		all = append(all, vector{"coding: " + c.name, post + c.fields + "\r\n\r\n0\r\n\r\n" + smuggled, want})
	}
	return append(all,
		vector{"coding: in HTTP/1.0", old + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{400}},
		vector{"coding: in HTTP/1.0 kept", old + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{400}},
		vector{"coding: with a length in HTTP/1.0", old + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{400}},
	)
}

func chunks() []vector {
	var all []vector
	for _, c := range []struct {
		name, body string
		want       []int
	}{
		{"capital size", "A\r\n0123456789\r\n0\r\n\r\n", []int{200, 200}},
		{"zeros", "0000000003\r\nabc\r\n000\r\n\r\n", []int{200, 200}},
		{"many zeros", strings.Repeat("0", 40) + "3\r\nabc\r\n0\r\n\r\n", []int{200, 200}},
		{"extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n", []int{200, 200}},
		{"quoted extension", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n", []int{200, 200}},
		{"extension with a space", "3 ;a\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"extension with a bare LF", "3;a\nabc\r\n0\r\n\r\n", []int{400}},
		{"extension with a bare CR", "3;a\rb\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"extension with a quoted newline", "3;a=\"\r\nabc\r\n0\r\n\r\n", []int{200, 200}},
		{"trailers", "3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n", []int{200, 200}},
		{"length in the trailers", "0\r\nContent-Length: 50\r\n\r\n", []int{200, 200}},
		{"coding in the trailers", "0\r\nTransfer-Encoding: chunked\r\n\r\n", []int{200, 200}},
		{"Host in the trailers", "0\r\nHost: y\r\n\r\n", []int{200, 200}},
		{"request in the trailers", "0\r\n" + smuggled, []int{400}},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", []int{400}},
		{"trailer with a bare LF", "0\r\nA: b\n\r\n", []int{400}},
		{"trailer with a space before the colon", "0\r\nA : b\r\n\r\n", []int{400}},
		{"no CRLF at the end", "3\r\nabc\r\n0\r\n", []int{400}},
		{"LF at the end", "3\r\nabc\r\n0\r\n\n", []int{400}},
		{"LF after the size", "3\nabc\r\n0\r\n\r\n", []int{400}},
		{"CR after the size", "3\rabc\r\n0\r\n\r\n", []int{400}},
		{"LF after the chunk", "3\r\nabc\n0\r\n\r\n", []int{400}},
		{"nothing after the chunk", "3\r\nabc0\r\n\r\n", []int{400}},
		{"two bytes after the chunk", "3\r\nabcXX0\r\n\r\n", []int{400}},
		{"empty size", "\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"plus", "+3\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"minus", "-3\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"0x", "0x3\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"leading space", " 3\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"trailing space", "3 \r\nabc\r\n0\r\n\r\n", []int{400}},
		{"trailing tab", "3\t\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"underscore", "1_0\r\n0123456789abcdef\r\n0\r\n\r\n", []int{400}},
		{"not hexadecimal", "g\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"comma", "3,0\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"wraps 32 bits", "100000003\r\nabc\r\n0\r\n\r\n", []int{0}},
		{"wraps 64 bits", "10000000000000003\r\nabc\r\n0\r\n\r\n", []int{400}},
		{"63 bits", "7fffffffffffffff\r\nabc", []int{0}},
		{"64 bits", "ffffffffffffffff\r\nabc", []int{400}},
	} {
		all = append(all, vector{"chunks: " + c.name, chunked + c.body, c.want})
	}
	return all
}

func lines() []vector {
	var all []vector
	for _, c := range []struct {
		name, in string
		want     []int
	}{
		{"bare LFs", "GET / HTTP/1.1\nHost: x\n\n", []int{400}},
		{"bare LF after the request line", "GET / HTTP/1.1\nHost: x\r\n\r\n", []int{400}},
		{"bare LF before the end", "GET / HTTP/1.1\r\nHost: x\r\n\n", []int{400}},
		{"bare CRs", "GET / HTTP/1.1\rHost: x\r\r", []int{400}},
		{"CR CR LF", "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n", []int{400}},
		{"space in an empty line", get + " \r\n\r\n", []int{400}},
		{"folded Host", "GET / HTTP/1.1\r\nHost:\r\n x\r\n\r\n", []int{400}},
		{"folded first line", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", []int{400}},
		{"folded with a tab", get + "A: b\r\n\tc\r\n\r\n", []int{400}},
		{"folded smuggle", get + "A: b\r\n " + smuggled, []int{400}},
		{"empty lines before", "\r\n\r\n" + get + "\r\n", []int{200, 200}},
		{"many empty lines before", strings.Repeat("\r\n", 30) + get + "\r\n", []int{400}},
		{"LFs before", "\n\n" + get + "\r\n", []int{400}},
		{"NUL in a value", get + "A: \x00\r\n\r\n", []int{400}},
		{"control character in a value", get + "A: \x01\r\n\r\n", []int{400}},
		{"DEL in a value", get + "A: \x7f\r\n\r\n", []int{400}},
		{"high bytes in a value", get + "A: \xff\xc3\xa9\r\n\r\n", []int{200, 200}},
		{"space in a name", get + "A B: c\r\n\r\n", []int{400}},
		{"empty name", get + ": c\r\n\r\n", []int{400}},
		{"parenthesis in a name", get + "A(: c\r\n\r\n", []int{400}},
		{"no Host", "GET / HTTP/1.1\r\n\r\n", []int{400}},
		{"two Hosts", get + "Host: y\r\n\r\n", []int{400}},
		{"Host with a slash", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", []int{400}},
		{"Host with a space", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n", []int{400}},
		{"Host with a user", "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n", []int{400}},
		{"many fields", get + strings.Repeat("A: b\r\n", 200) + "\r\n", []int{431}},
		{"large head", get + "A: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", []int{431}},
	} {
		all = append(all, vector{"lines: " + c.name, c.in, c.want})
	}
	return all
}

func startLines() []vector {
	var all []vector
	for _, c := range []struct {
		name, line string
		want       []int
	}{
		{"absolute form", "GET http://y/a HTTP/1.1", []int{200, 200}},
		{"absolute form in capitals", "GET HTTP://y/a HTTP/1.1", []int{200, 200}},
		{"absolute form without a path", "GET http://y?a HTTP/1.1", []int{200, 200}},
		{"absolute form without a host", "GET http:///a HTTP/1.1", []int{400}},
		{"absolute form with a user", "GET http://u@y/a HTTP/1.1", []int{400}},
		{"asterisk", "OPTIONS * HTTP/1.1", []int{404, 200}},
		{"asterisk of a GET", "GET * HTTP/1.1", []int{400}},
		{"no slash", "GET a HTTP/1.1", []int{400}},
		{"authority form", "GET x:80 HTTP/1.1", []int{400}},
		{"CONNECT", "CONNECT x:80 HTTP/1.1", []int{404}},
		{"fragment", "GET /a#b HTTP/1.1", []int{400}},
		{"two spaces", "GET  / HTTP/1.1", []int{400}},
		{"tab", "GET\t/ HTTP/1.1", []int{400}},
		{"space in the target", "GET /a b HTTP/1.1", []int{400}},
		{"version in the target", "GET / HTTP/1.1 HTTP/1.1", []int{400}},
		{"space at the end", "GET / HTTP/1.1 ", []int{400}},
		{"space at the start", " GET / HTTP/1.1", []int{400}},
		{"NUL in the target", "GET /\x00 HTTP/1.1", []int{400}},
		{"high bytes in the target", "GET /\xc3\xa9 HTTP/1.1", []int{400}},
		{"CR in the target", "GET /\rb HTTP/1.1", []int{400}},
		{"escapes", "GET /%0d%0aHost:%20y HTTP/1.1", []int{200, 200}},
		{"escaped NUL", "GET /%00 HTTP/1.1", []int{200, 200}},
		{"dots", "GET /a/../../b HTTP/1.1", []int{200, 200}},
		{"backslash", "GET /a\\..\\b HTTP/1.1", []int{200, 200}},
		{"slashes", "GET //y/a HTTP/1.1", []int{200, 200}},
		{"HTTP/0.9", "GET /", []int{505}},
		{"HTTP/2.0", "GET / HTTP/2.0", []int{505}},
		{"HTTP/1", "GET / HTTP/1", []int{400}},
		{"HTTP/1.10", "GET / HTTP/1.10", []int{400}},
		{"http/1.1", "GET / http/1.1", []int{400}},
		{"bad method", "GE(T / HTTP/1.1", []int{400}},
		{"unknown method", "SMUGGLE / HTTP/1.1", []int{200, 200}},
		{"TRACE", "TRACE / HTTP/1.1", []int{200, 200}},
		{"PRI", "PRI * HTTP/2.0", []int{505}},
	} {
		all = append(all, vector{"start: " + c.name, c.line + "\r\nHost: x\r\n\r\n", c.want})
	}
	return all
}
