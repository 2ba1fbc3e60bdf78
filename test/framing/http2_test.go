package framing

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// sendHTTP2 sends one request with these fields, a body and trailers, whatever
// they are, and tells how it ended: "200", "reset", "connection".
func (p *target) sendHTTP2(t testing.TB, fields, trailers [][2]string, body []byte) string {
	t.Helper()
	conn, err := net.Dial("tcp", p.address)
	must(t, err)
	defer func() { _ = conn.Close() }()
	must(t, conn.SetDeadline(time.Now().Add(2*time.Second)))
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&out, conn)
	must(t, fr.WriteSettings())
	fr.AllowIllegalWrites = true
	last := len(body) == 0 && len(trailers) == 0
	must(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(fields), EndHeaders: true, EndStream: last}))
	if len(body) > 0 {
		must(t, fr.WriteData(1, len(trailers) == 0, body))
	}
	if len(trailers) > 0 {
		must(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block(trailers), EndHeaders: true, EndStream: true}))
	}
	_, _ = conn.Write(out.Bytes())
	status, decoder := "", hpack.NewDecoder(4096, nil)
	for {
		f, err := fr.ReadFrame()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("no end of %q with %d bytes, %q: %q", fields, len(body), trailers, status)
		}
		if err != nil {
			return "connection"
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			return "reset"
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return "connection"
			}
		case *http2.HeadersFrame:
			decoded, err := decoder.DecodeFull(f.HeaderBlockFragment())
			must(t, err)
			if len(decoded) > 0 && decoded[0].Name == ":status" {
				status = decoded[0].Value
			}
		}
		if f.Header().StreamID == 1 && f.Header().Flags&http2.FlagDataEndStream != 0 {
			return status
		}
	}
}

func block(fields [][2]string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range fields {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return b.Bytes()
}

// pseudo are the fields of a plain request, and more.
func pseudo(more ...string) (fields [][2]string) {
	all := append([]string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/"}, more...)
	for i := 0; i+1 < len(all); i += 2 {
		fields = append(fields, [2]string{all[i], all[i+1]})
	}
	return fields
}

// with replaces the value of a field.
func with(fields [][2]string, name, value string) [][2]string {
	out := slices.Clone(fields)
	for i := range out {
		if out[i][0] == name {
			out[i][1] = value
		}
	}
	return out
}

// checkHTTP2 wants nothing at the upstream, or one request that is exactly what
// the fields and the body say.
func checkHTTP2(t testing.TB, p *target, fields, trailers [][2]string, body []byte) string {
	t.Helper()
	p.upstream.begin(nil)
	how := p.sendHTTP2(t, fields, trailers, body)
	got := p.upstream.got()
	if len(got) > 1 {
		t.Fatalf("%q became %d requests: %v, %v", fields, len(got), &got[0], &got[1])
	}
	if len(got) == 0 {
		if how == "200" {
			t.Fatalf("%q: 200 of nobody", fields)
		}
		return how
	}
	q := got[0]
	if q.ambiguous != nil {
		t.Fatalf("%q: %v", fields, q.ambiguous)
	}
	if how == "200" && (!q.whole || !bytes.Equal(q.body, body)) || !bytes.HasPrefix(body, q.body) {
		t.Fatalf("%q with the body %q became %s", fields, body, &q)
	}
	sent := func(name, value string) bool {
		return slices.ContainsFunc(fields, func(f [2]string) bool { return f[0] == name && strings.Trim(f[1], " \t") == value })
	}
	if !sent(":method", q.method) || !sent(":path", q.target) || !sent(":authority", q.host) && !sent("host", q.host) {
		t.Fatalf("%q became %s", fields, &q)
	}
	for _, f := range q.fields {
		proxys := strings.HasPrefix(f[0], "x-") || f[0] == "host" || f[0] == "content-length" || f[0] == "transfer-encoding" || f[0] == "cookie"
		if !proxys && !sent(f[0], f[1]) {
			t.Fatalf("%q became a request with %q", fields, f)
		}
	}
	return how
}

// TestHTTP2Conversion: nothing that a field of HTTP/2 can hold becomes another
// message of HTTP/1.1.
func TestHTTP2Conversion(t *testing.T) {
	p := startSundog(t, hcmv3.HttpConnectionManager_AUTO)
	const hidden = " HTTP/1.1\r\nHost: x\r\n\r\nGET /smuggled"
	for _, tt := range []struct {
		name             string
		fields, trailers [][2]string
		body, want       string
	}{
		{"plain", pseudo("a", "b"), nil, "abc", "200"},
		{"trailers", pseudo(), [][2]string{{"a", "b"}}, "abc", "200"},
		{"right length", pseudo("content-length", "3"), nil, "abc", "200"},
		{"length too small", pseudo("content-length", "1"), nil, "abc", "reset"},
		{"length too large", pseudo("content-length", "9"), nil, "abc", "reset"},
		{"two lengths", pseudo("content-length", "3", "content-length", "4"), nil, "abc", "reset"},
		{"length with a plus", pseudo("content-length", "+3"), nil, "abc", "reset"},
		{"length without a body", pseudo("content-length", "3"), nil, "", "reset"},
		{"transfer-encoding", pseudo("transfer-encoding", "chunked"), nil, "0\r\n\r\n" + smuggled, "reset"},
		{"capital Transfer-Encoding", pseudo("Transfer-Encoding", "chunked"), nil, "0\r\n\r\n" + smuggled, "reset"},
		{"connection", pseudo("connection", "close"), nil, "", "reset"},
		{"keep-alive", pseudo("keep-alive", "1"), nil, "", "reset"},
		{"upgrade", pseudo("upgrade", "websocket"), nil, "", "reset"},
		{"te", pseudo("te", "gzip"), nil, "", "reset"},
		{"CRLF in a value", pseudo("a", "b\r\ntransfer-encoding: chunked"), nil, "", "reset"},
		{"LF in a value", pseudo("a", "b\ntransfer-encoding: chunked"), nil, "", "reset"},
		{"CR in a value", pseudo("a", "b\rc"), nil, "", "reset"},
		{"NUL in a value", pseudo("a", "b\x00"), nil, "", "reset"},
		{"CRLF in a name", pseudo("a: b\r\nc", "d"), nil, "", "reset"},
		{"colon in a name", pseudo("transfer-encoding: chunked", ""), nil, "", "reset"},
		{"space in a name", pseudo("transfer-encoding ", "chunked"), nil, "", "reset"},
		{"empty name", pseudo("", "b"), nil, "", "reset"},
		{"request in the path", with(pseudo(), ":path", "/"+hidden), nil, "", "reset"},
		{"space in the path", with(pseudo(), ":path", "/ HTTP/1.1"), nil, "", "reset"},
		{"tab in the path", with(pseudo(), ":path", "/\tb"), nil, "", "reset"},
		{"fragment in the path", with(pseudo(), ":path", "/a#b"), nil, "", "reset"},
		{"empty path", with(pseudo(), ":path", ""), nil, "", "reset"},
		{"absolute path", with(pseudo(), ":path", "http://y/"), nil, "", "reset"},
		{"request in the method", with(pseudo(), ":method", "GET /"+hidden), nil, "", "reset"},
		{"space in the method", with(pseudo(), ":method", "GET /smuggled"), nil, "", "reset"},
		{"empty method", with(pseudo(), ":method", ""), nil, "", "reset"},
		{"CRLF in the authority", with(pseudo(), ":authority", "x\r\na: b"), nil, "", "reset"},
		{"space in the authority", with(pseudo(), ":authority", "x y"), nil, "", "reset"},
		{"slash in the authority", with(pseudo(), ":authority", "x/y"), nil, "", "reset"},
		{"user in the authority", with(pseudo(), ":authority", "u@x"), nil, "", "reset"},
		{"another host", pseudo("host", "y"), nil, "", "reset"},
		{"two paths", pseudo(":path", "/smuggled"), nil, "", "reset"},
		{"unknown pseudo-header", pseudo(":smuggle", "x"), nil, "", "reset"},
		{"pseudo-header after a field", pseudo("a", "b", ":status", "200"), nil, "", "reset"},
		{"request in the scheme", with(pseudo(), ":scheme", "http://y/"+hidden), nil, "", "reset"},
		{"CRLF in a trailer", pseudo(), [][2]string{{"a", "b\r\n\r\n" + smuggled}}, "abc", "reset"},
		{"CRLF in a trailer's name", pseudo(), [][2]string{{"a\r\n\r\n" + smuggled, "b"}}, "abc", "reset"},
		{"pseudo-header in the trailers", pseudo(), [][2]string{{":path", "/smuggled"}}, "abc", "reset"},
		{"transfer-encoding in the trailers", pseudo(), [][2]string{{"transfer-encoding", "chunked"}}, "abc", "reset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := checkHTTP2(t, p, tt.fields, tt.trailers, []byte(tt.body)); got != tt.want {
				t.Errorf("%q ended with %s, want %s", tt.fields, got, tt.want)
			}
		})
	}
}

// cutFields reads pairs of strings, each after a byte with its length.
func cutFields(data []byte) (fields [][2]string) {
	next := func() string {
		if len(data) == 0 {
			return ""
		}
		n := min(int(data[0]), len(data)-1)
		s := string(data[1 : 1+n])
		data = data[1+n:]
		return s
	}
	for len(data) > 0 && len(fields) < 50 {
		fields = append(fields, [2]string{next(), next()})
	}
	return fields
}

func joinFields(fields [][2]string) (data []byte) {
	for _, f := range fields {
		for _, s := range f {
			data = append(append(data, byte(len(s))), s...)
		}
	}
	return data
}

// FuzzHTTP2Conversion looks for fields that become something else.
func FuzzHTTP2Conversion(f *testing.F) {
	f.Add(joinFields(pseudo("a", "b", "cookie", "c")), []byte{}, []byte("abc"))
	f.Add(joinFields(pseudo("content-length", "3")), joinFields([][2]string{{"a", "b"}}), []byte("abc"))
	f.Add(joinFields(pseudo("a", "b\r\ntransfer-encoding: chunked")), []byte{}, []byte("0\r\n\r\n"+smuggled))
	f.Add(joinFields(with(pseudo(), ":path", "/ HTTP/1.1\r\n\r\n"+smuggled)), []byte{}, []byte{})
	f.Add(joinFields(pseudo("host", "x", "te", "trailers")), []byte{}, []byte{})
	p := startSundog(f, hcmv3.HttpConnectionManager_AUTO)
	f.Fuzz(func(t *testing.T, head, trailers, body []byte) {
		if len(head) > 8192 || len(trailers) > 4096 || len(body) > 4096 {
			return
		}
		checkHTTP2(t, p, cutFields(head), cutFields(trailers), body)
	})
}
