package http1_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http1"
)

// disagreement is a kind of message on which this package and net/http
// differ, with the section of RFC 9110 or 9112 by which we are right. Each is
// in docs/http1.md.
type disagreement struct {
	key string // our error's reason, or the start of net/http's error
	rfc string
	why string
	in  string // one such message
}

// stricter are our reasons to refuse what net/http's ReadRequest or
// ReadResponse takes.
var stricter = []disagreement{
	{
		"line ends with a bare LF", "9112, 2.2", "a recipient may take LF for CRLF; not to is the safe choice",
		"GET / HTTP/1.1\nHost: a\n\n",
	},
	{
		"CR without LF", "9112, 2.2", "a bare CR is invalid or becomes a space",
		"HTTP/1.1 200 O\rK\r\n\r\n",
	},
	{
		"folded field line", "9112, 5.2", "refuse it, or unfold it",
		"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n",
	},
	{
		"white space before a field's colon", "9112, 5.1", "a server must refuse it",
		"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
	},
	{
		"control character", "9110, 5.5", "CR, LF and NUL must not pass, other control characters are invalid",
		"HTTP/1.1 200 O\x00K\r\n\r\n",
	},
	{
		"invalid Content-Length", "9112, 6.3", "white space before the colon of an answer's field goes (9112, 5.1), and then it is a length",
		"HTTP/1.1 304 Not Modified\r\nContent-Length : x\r\n\r\n",
	},
	{
		"invalid character in a field name", "9110, 5.1", "a field name is a token",
		"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n",
	},
	{
		"HTTP version not supported", "9110, 15.6.6", "another major version is answered with 505",
		"PRI * HTTP/2.0\r\n\r\n",
	},
	{
		"no Host field", "9112, 3.2", "must be answered with 400",
		"GET / HTTP/1.1\r\n\r\n",
	},
	{
		"invalid Host field", "9112, 3.2", "must be answered with 400",
		"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
	},
	{
		"invalid authority in the request target", "9110, 4.2", "no host, or user information, is an error",
		"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
	},
	{
		"invalid request target", "9112, 3.2", "a target is one of four forms in ASCII, of scheme http or https",
		"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
	},
	{
		"request target with a fragment", "9112, 3.2", "no form has a fragment",
		"GET /#f HTTP/1.1\r\nHost: a\r\n\r\n",
	},
	{
		"malformed status line", "9110, 15", "a status code is between 100 and 999, after one space",
		"HTTP/1.1 099 x\r\n\r\n",
	},
	{
		"a second Content-Length field", "9112, 6.3", "may be refused even if both are equal",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
	},
	{
		"both Content-Length and Transfer-Encoding", "9112, 6.1", "may be refused, and looks like smuggling",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	},
	{
		"Transfer-Encoding in an HTTP/1.0 message", "9112, 6.1", "its framing must be taken for faulty",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
	},
	{
		"Content-Length where there is no body", "9110, 8.6", "must not be in 1xx and 204; framing could be read two ways",
		"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n",
	},
	{
		"Transfer-Encoding where there is no body", "9112, 6.1", "must not be in 1xx and 204; framing could be read two ways",
		"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n",
	},
	{
		"Connection field not acceptable", "9110, 7.6.1", "a list of tokens; Envoy's bounds on what it names",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-forwarded-for\r\n\r\n",
	},
	{
		"invalid chunk size", "9112, 7.1", "hexadecimal digits and nothing else",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n0\r\n\r\n",
	},
	{
		"invalid chunk extension", "9112, 7.1.1", "no control characters",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;\x00\r\nx\r\n0\r\n\r\n",
	},
	{
		"chunk extensions too large", "9112, 7.1.1", "their total length should be limited",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1;aaaaaaaaaaaaaaaaaaaa\r\nx\r\n", 1000) + "0\r\n\r\n",
	},
	{
		"head too large", "9110, 5.4", "a limit of our own, Envoy's",
		"GET / HTTP/1.1\r\nHost: a\r\nA: " + strings.Repeat("b", 62000) + "\r\n\r\n",
	},
	{
		"too many fields", "9110, 5.4", "a limit of our own, Envoy's",
		"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("A: b\r\n", 101) + "\r\n",
	},
}

// laxer are net/http's reasons to refuse what we take.
var laxer = []disagreement{
	{
		"malformed HTTP request \"\"", "9112, 2.2", "empty lines before a request line should be ignored",
		"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	},
	{
		"parse ", "9112, 3.2.1", "what a path's escapes mean is for the origin server",
		"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	},
	{
		"bad trailer key", "9110, 6.6.2", "Trailer announces, it does not carry; such trailers are dropped when they come",
		"POST / HTTP/1.1\r\nHost: a\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	},
	{
		"header line too long", "9112, 7.1.1", "the bound is on extensions in all, not on a line",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("a", 5000) + "\r\nx\r\n0\r\n\r\n",
	},
	{
		"chunked encoding contains too much non-data", "9112, 7.1.1", "the bound is Sundog's own",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("0000000000000001;a\r\nx\r\n", 9000) + "0\r\n\r\n",
	},
	{
		"http: suspiciously long trailer", "9112, 7.1.2", "the bound is the limit for heads",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + strings.Repeat("b", 5000) + "\r\n\r\n",
	},
	{
		"malformed MIME header line", "9112, 5.1", "a proxy must remove white space before the colon from responses",
		"HTTP/1.1 200 OK\r\nA\t: b\r\n\r\n",
	},
}

// otherwise are messages that both take, but not for the same.
var otherwise = []disagreement{
	{
		"white space before the colon", "9112, 5.1", "a proxy must remove it from responses; net/http makes it part of the name",
		"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
	},
}

// TestDisagreements wants each listed kind to be one: a list that is longer
// than the truth would hide findings.
func TestDisagreements(t *testing.T) {
	verdicts := func(in string) (ours, theirs verdict) {
		if strings.HasPrefix(in, "HTTP/") {
			return ourResponse([]byte(in), "GET"), theirResponse([]byte(in), "GET")
		}
		return ourRequest([]byte(in)), theirRequest([]byte(in))
	}
	for _, d := range stricter {
		var e *http1.Error
		if ours, theirs := verdicts(d.in); !errors.As(ours.err, &e) || e.Reason != d.key || !theirs.taken {
			t.Errorf("%q: we say %v, net/http %v", d.key, ours.err, theirs.err)
		}
	}
	for _, d := range laxer {
		if ours, theirs := verdicts(d.in); !ours.taken || theirs.err == nil || !strings.HasPrefix(theirs.err.Error(), d.key) {
			t.Errorf("%q: we say %v, net/http %v", d.key, ours.err, theirs.err)
		}
	}
	for _, d := range otherwise {
		if ours, theirs := verdicts(d.in); !ours.taken || !theirs.taken || ours.text == theirs.text {
			t.Errorf("%q: we say %v, net/http %v", d.key, ours.err, theirs.err)
		}
	}
}

// TestDisagreementsDocumented wants docs/http1.md to name every kind of
// message on which we differ from net/http.
func TestDisagreementsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/http1.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range slices.Concat(stricter, laxer, otherwise) {
		if !bytes.Contains(doc, []byte(d.key)) {
			t.Errorf("docs/http1.md says nothing of %q (%s: %s)", d.key, d.rfc, d.why)
		}
	}
}
