package http1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

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
