package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// disagreement is a kind of message on which this package and net/http
// differ, with the section of RFC 9110 or 9112 by which we are right. Each is
// in docs/http1.md.
type disagreement struct {
	key string // our error's reason, or the start of net/http's error
	rfc string
	why string
}

// stricter are our reasons to refuse what net/http's ReadRequest or
// ReadResponse takes.
var stricter = []disagreement{
	{"line ends with a bare LF", "9112, 2.2", "a recipient may take LF for CRLF; not to is the safe choice"},
	{"CR without LF", "9112, 2.2", "a bare CR is invalid or becomes a space"},
	{"folded field line", "9112, 5.2", "refuse it, or unfold it"},
	{"white space before a field's colon", "9112, 5.1", "a server must refuse it"},
	{"field line without a colon", "9112, 5", "it is no field line"},
	{"control character", "9110, 5.5", "CR, LF and NUL must not pass, other control characters are invalid"},
	{"invalid character in a field name", "9110, 5.1", "a field name is a token"},
	{"HTTP version not supported", "9110, 15.6.6", "another major version is answered with 505"},
	{"no Host field", "9112, 3.2", "must be answered with 400"},
	{"a second Host field", "9112, 3.2", "must be answered with 400"},
	{"invalid Host field", "9112, 3.2", "must be answered with 400"},
	{"invalid authority in the request target", "9110, 4.2", "no host, or user information, is an error"},
	{"invalid request target", "9112, 3.2", "a target is one of four forms in ASCII, of scheme http or https"},
	{"request target with a fragment", "9112, 3.2", "no form has a fragment"},
	{"malformed status line", "9110, 15", "a status code is between 100 and 999, after one space"},
	{"a second Content-Length field", "9112, 6.3", "may be refused even if both are equal"},
	{"invalid Content-Length", "9110, 8.6", "digits, and nothing that repeats them"},
	{"both Content-Length and Transfer-Encoding", "9112, 6.1", "may be refused, and looks like smuggling"},
	{"Transfer-Encoding in an HTTP/1.0 message", "9112, 6.1", "its framing must be taken for faulty"},
	{"malformed Transfer-Encoding", "9112, 6.1", "one coding, of which chunked is the last"},
	{"unknown transfer coding", "9112, 6.1", "501"},
	{"Content-Length where there is no body", "9110, 8.6", "must not be in 1xx and 204; framing could be read two ways"},
	{"Transfer-Encoding where there is no body", "9112, 6.1", "must not be in 1xx and 204; framing could be read two ways"},
	{"Connection field not acceptable", "9110, 7.6.1", "a list of tokens; Envoy's bounds on what it names"},
	{"invalid chunk size", "9112, 7.1", "hexadecimal digits and nothing else"},
	{"invalid chunk extension", "9112, 7.1.1", "no control characters"},
	{"chunk without its end of line", "9112, 7.1", "CRLF follows the data"},
	{"chunk extensions too large", "9112, 7.1.1", "their total length should be limited"},
	{"head too large", "9110, 5.4", "a limit of our own, Envoy's"},
	{"too many fields", "9110, 5.4", "a limit of our own, Envoy's"},
}

// laxer are net/http's reasons to refuse what we take.
var laxer = []disagreement{
	{"malformed HTTP request \"\"", "9112, 2.2", "empty lines before a request line should be ignored"},
	{"parse ", "9112, 3.2.1", "what a path's escapes mean is for the origin server"},
	{"bad trailer key", "9110, 6.6.2", "Trailer announces, it does not carry; such trailers are dropped when they come"},
	{"header line too long", "9112, 7.1.1", "the bound is on extensions in all, not on a line"},
	{"chunked encoding contains too much non-data", "9112, 7.1.1", "the bound is Sundog's own"},
	{"http: suspiciously long trailer", "9112, 7.1.2", "the bound is the limit for heads"},
	{"malformed MIME header line", "9112, 5.1", "a proxy must remove white space before the colon from responses"},
}

// otherwise are messages that both take, but not for the same.
var otherwise = []disagreement{
	{"white space before the colon", "9112, 5.1", "a proxy must remove it from responses; net/http makes it part of the name"},
}

// verdict is what one implementation makes of a message.
type verdict struct {
	taken bool
	err   error  // why not; nil when more bytes are needed
	text  string // the message
	space bool   // a field name ends with white space
}

// compareVerdicts fails unless both say the same or differ in a listed way.
func compareVerdicts(t *testing.T, in []byte, ours, theirs verdict) {
	t.Helper()
	switch {
	case ours.taken && theirs.taken && theirs.space:
		// Listed as taken otherwise.
	case ours.taken && theirs.taken:
		if diff := cmp.Diff(theirs.text, ours.text); diff != "" {
			t.Fatalf("%q (-net/http +http1)\n%s", in, diff)
		}
	case theirs.taken:
		var e *http1.Error
		if !errors.As(ours.err, &e) {
			t.Fatalf("%q: net/http takes it as\n%sand we say %v", in, theirs.text, ours.err)
		}
		if !slices.ContainsFunc(stricter, func(d disagreement) bool { return d.key == e.Reason }) {
			t.Fatalf("%q: net/http takes it, and %q is not listed as stricter", in, e.Reason)
		}
	case ours.taken:
		if !slices.ContainsFunc(laxer, func(d disagreement) bool { return strings.HasPrefix(theirs.err.Error(), d.key) }) {
			t.Fatalf("%q: we take it, and net/http's %q is not listed as laxer", in, theirs.err)
		}
	}
}

// message describes a message the same way for both.
func message(start string, fields []string, body []byte, trailers []string) string {
	slices.SortStableFunc(fields, byName)
	slices.SortStableFunc(trailers, byName)
	return fmt.Sprintf("%s\n%s\n\n%q\n%s\n", start, strings.Join(fields, "\n"), body, strings.Join(trailers, "\n"))
}

func byName(a, b string) int {
	a, _, _ = strings.Cut(a, ":")
	b, _, _ = strings.Cut(b, ":")
	return strings.Compare(a, b)
}

// leftOut are fields that net/http takes away or adds to.
func leftOut(name string) bool {
	switch name {
	case "content-length", "transfer-encoding", "trailer", "pragma", "cache-control":
		return true
	}
	return false
}

func theirFields(h http.Header, trailers bool) (all []string) {
	for name, values := range h {
		name = strings.ToLower(name)
		if leftOut(name) || trailers && forbidden(name) {
			continue
		}
		for _, v := range values {
			all = append(all, name+":"+v)
		}
	}
	return all
}

func spaceInName(h http.Header) bool {
	for name := range h {
		if strings.TrimRight(name, " \t") != name {
			return true
		}
	}
	return false
}

// forbidden are the trailers that we drop.
func forbidden(name string) bool {
	return slices.Contains(strings.Fields("authorization connection content-encoding content-length content-range "+
		"content-type cookie expect host keep-alive max-forwards proxy-authorization proxy-connection set-cookie te "+
		"trailer transfer-encoding upgrade"), name)
}

func ourFields(h *traffic.Head) (all []string) {
	for i := range h.Len() {
		name, value := h.Field(i)
		if !leftOut(string(name)) {
			all = append(all, string(name)+":"+string(value))
		}
	}
	return all
}

// ourMessage reads head and body of in. parse reads the head and returns the
// start line in words.
func ourMessage(in []byte, parse func(*traffic.Head, []byte) (string, traffic.Framing, error)) verdict {
	n, err := scan(in, len(in)+1, http1.Limits{})
	if err != nil || n == 0 {
		return verdict{err: err}
	}
	var h traffic.Head
	start, f, err := parse(&h, in[:n])
	if err != nil {
		return verdict{err: err}
	}
	var d http1.Body
	d.Reset(f, http1.Limits{})
	var body []byte
	for rest := in[n:]; ; {
		data, used, done, err := d.Next(rest)
		body, rest = append(body, data...), rest[used:]
		switch {
		case err != nil:
			return verdict{err: err}
		case done, f.Kind == traffic.FramingClose && len(rest) == 0:
			return verdict{taken: true, text: message(start, ourFields(&h), body, ourFields(d.Trailers()))}
		case len(rest) == 0:
			return verdict{}
		}
	}
}

func ourRequest(in []byte) verdict {
	return ourMessage(in, func(h *traffic.Head, b []byte) (string, traffic.Framing, error) {
		f, err := http1.ParseRequest(h, b, http1.Limits{})
		return fmt.Sprintf("%s %s %s", h.Method(), h.Authority(), h.Path()), f, err
	})
}

func theirRequest(in []byte) verdict {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in)))
	if err != nil {
		return verdict{err: err}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return verdict{err: err}
	}
	path := r.RequestURI
	if _, rest, ok := strings.Cut(path, "://"); ok && path[0] != '/' {
		path = rest[min(len(rest), strings.IndexAny(rest+"/", "/?")):]
		switch {
		case path == "" && r.Method == "OPTIONS":
			path = "*"
		case path == "", path[0] == '?':
			path = "/" + path
		}
	}
	if r.Method == "CONNECT" {
		path = ""
	}
	start := fmt.Sprintf("%s %s %s", r.Method, r.Host, path)
	text := message(start, theirFields(r.Header, false), body, theirFields(r.Trailer, true))
	return verdict{taken: true, text: text, space: spaceInName(r.Header) || spaceInName(r.Trailer)}
}

func ourResponse(in []byte, method string) verdict {
	return ourMessage(in, func(h *traffic.Head, b []byte) (string, traffic.Framing, error) {
		f, err := http1.ParseResponse(h, b, []byte(method), http1.Limits{})
		return fmt.Sprintf("%d %s", h.Status, strings.Trim(string(h.Reason()), " \t")), f, err
	})
}

func theirResponse(in []byte, method string) verdict {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), &http.Request{Method: method})
	if err != nil {
		return verdict{err: err}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return verdict{err: err}
	}
	_, reason, _ := strings.Cut(r.Status, " ")
	start := fmt.Sprintf("%d %s", r.StatusCode, strings.Trim(reason, " \t"))
	text := message(start, theirFields(r.Header, false), body, theirFields(r.Trailer, true))
	return verdict{taken: true, text: text, space: spaceInName(r.Header) || spaceInName(r.Trailer)}
}

func FuzzNetHTTPRequest(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		compareVerdicts(t, in, ourRequest(in), theirRequest(in))
	})
}

func FuzzNetHTTPResponse(f *testing.F) {
	for i, s := range seeds {
		f.Add([]byte(s), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		method := "GET"
		if head {
			method = "HEAD"
		}
		compareVerdicts(t, in, ourResponse(in, method), theirResponse(in, method))
	})
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
