package http1_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

var chunked = traffic.Framing{Kind: traffic.FramingChunked}

// decode feeds in to a body, at most step bytes with each call, and returns
// the payload, what was not used, whether the body is complete, the trailers.
func decode(in []byte, f traffic.Framing, step int, lim http1.Limits) (data, rest []byte, done bool, trailers string, err error) {
	var d http1.Body
	d.Reset(f, lim)
	for !done {
		piece := in[:min(step, len(in))]
		var got []byte
		var used int
		got, used, done, err = d.Next(piece)
		data, in = append(data, got...), in[used:]
		if err != nil {
			return data, in, false, "", err
		}
		if len(in) == 0 {
			break
		}
		if used == 0 && !done {
			panic("body is stuck")
		}
	}
	for i := range d.Trailers().Len() {
		name, value := d.Trailers().Field(i)
		trailers += fmt.Sprintf("%s=%q ", name, value)
	}
	return data, in, done, trailers, nil
}

func TestBody(t *testing.T) {
	length := func(n int64) traffic.Framing { return traffic.Framing{Kind: traffic.FramingLength, Length: n} }
	for _, tt := range []struct {
		name     string
		f        traffic.Framing
		in       string
		data     string
		rest     string
		done     bool
		trailers string
	}{
		{name: "none", in: "GET", rest: "GET", done: true},
		{name: "length 0", f: length(0), in: "GET", rest: "GET", done: true},
		{name: "length", f: length(3), in: "abcGET", data: "abc", rest: "GET", done: true},
		{name: "part of a length", f: length(4), in: "abc", data: "abc"},
		{name: "until close", f: traffic.Framing{Kind: traffic.FramingClose}, in: "abc", data: "abc"},
		{name: "chunks", f: chunked, in: "3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\nGET", data: "abc0123456789", rest: "GET", done: true},
		{name: "no chunks", f: chunked, in: "000\r\n\r\n", done: true},
		{name: "part of a chunk", f: chunked, in: "FF\r\nabc", data: "abc"},
		{name: "extensions", f: chunked, in: "1;a\r\nx\r\n1;a=b;c=\"d \t;\xe9\"\r\ny\r\n0;z\r\n\r\n", data: "xy", done: true},
		{name: "the largest chunk", f: chunked, in: "7fffffffffffffff\r\nab", data: "ab"},
		{name: "leading zeros", f: chunked, in: "00000000000000000001\r\na\r\n0\r\n\r\n", data: "a", done: true},
		{
			name: "trailers", f: chunked, in: "0\r\nX-Sum: 1 \r\ngrpc-status:0\r\n\r\nG",
			rest: "G", done: true, trailers: `x-sum="1" grpc-status="0" `,
		},
		{
			name: "trailers that must not be", f: chunked, done: true, trailers: `a="b" `,
			in: "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\nA: b\r\nTrailer: A\r\n\r\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 5, 100} {
				data, rest, done, trailers, err := decode([]byte(tt.in), tt.f, step, http1.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				if string(data) != tt.data || string(rest) != tt.rest || done != tt.done || trailers != tt.trailers {
					t.Errorf("step %d: data %q, rest %q, done %v, trailers %s", step, data, rest, done, trailers)
				}
			}
		})
	}
}

func TestBodyErrors(t *testing.T) {
	for _, tt := range []struct{ in, data, want string }{
		{"\r\n", "", "400 invalid chunk size"},
		{";a\r\n", "", "400 invalid chunk size"},
		{"+1\r\n", "", "400 invalid chunk size"},
		{"-1\r\n", "", "400 invalid chunk size"},
		{"0x1\r\n", "", "400 invalid chunk size"},
		{" 1\r\n", "", "400 invalid chunk size"},
		{"1 \r\n", "", "400 invalid chunk size"},
		{"1 ;a\r\n", "", "400 invalid chunk size"},
		{"1\t\r\n", "", "400 invalid chunk size"},
		{"1,\r\n", "", "400 invalid chunk size"},
		{"g\r\n", "", "400 invalid chunk size"},
		{"1_0\r\n", "", "400 invalid chunk size"},
		{"8000000000000000\r\n", "", "400 invalid chunk size"},
		{"10000000000000001\r\n", "", "400 invalid chunk size"},
		{"1\n", "", "400 line ends with a bare LF"},
		{"1\ra", "", "400 CR without LF"},
		{"1;a\n", "", "400 line ends with a bare LF"},
		{"1;a\x00\r\n", "", "400 invalid chunk extension"},
		{"1;a\x7f\r\n", "", "400 invalid chunk extension"},
		{"1;a\rb\r\n", "", "400 CR without LF"},
		{"1;" + strings.Repeat("a", 16<<10+1), "", "400 chunk extensions too large"},
		{strings.Repeat("0", 16<<10+17), "", "400 chunk extensions too large"},
		{strings.Repeat("1;a\r\nx\r\n1;aaa\r\nx\r\n", 16<<10), strings.Repeat("x", 16<<10-1), "400 chunk extensions too large"},
		{"1\r\nab", "a", "400 chunk without its end of line"},
		{"1\r\na\n", "a", "400 line ends with a bare LF"},
		{"1\r\na\rb", "a", "400 CR without LF"},
		{"1\r\na\r\n\r\n", "a", "400 invalid chunk size"},
		{"0\r\n\n", "", "400 line ends with a bare LF"},
		{"0\r\na: b\n\r\n", "", "400 line ends with a bare LF"},
		{"0\r\na: b\rc\r\n\r\n", "", "400 CR without LF"},
		{"0\r\na : b\r\n\r\n", "", "400 white space before a field's colon"},
		{"0\r\n a: b\r\n\r\n", "", "400 folded field line"},
		{"0\r\na\r\n\r\n", "", "400 field line without a colon"},
		{"0\r\na: \x00\r\n\r\n", "", "400 control character"},
		{"0\r\n" + strings.Repeat("a: b\r\n", 4), "", "431 too many fields"},
		{"0\r\na: " + strings.Repeat("b", 100), "", "431 head too large"},
	} {
		t.Run(tt.in[:min(len(tt.in), 40)], func(t *testing.T) {
			for _, step := range []int{1, 2, 3, 5, len(tt.in)} {
				data, _, _, _, err := decode([]byte(tt.in), chunked, step, http1.Limits{Bytes: 64, Fields: 3})
				wantError(t, err, tt.want)
				if string(data) != tt.data {
					t.Errorf("step %d: %d bytes before the error, want %d", step, len(data), len(tt.data))
				}
			}
		})
	}
}

// TestTrailerLimit wants trailers of exactly the limit, and no byte more.
func TestTrailerLimit(t *testing.T) {
	in := []byte("0\r\na: b\r\n\r\n")
	for _, step := range []int{1, 4, 100} {
		if _, _, done, _, err := decode(in, chunked, step, http1.Limits{Bytes: 8}); !done || err != nil {
			t.Errorf("step %d: done %v, %v", step, done, err)
		}
		_, _, _, _, err := decode(in, chunked, step, http1.Limits{Bytes: 7})
		wantError(t, err, "431 head too large")
	}
}

// TestBodyErrorStays wants a wrong body to stay wrong.
func TestBodyErrorStays(t *testing.T) {
	var d http1.Body
	d.Reset(chunked, http1.Limits{})
	if data, used, _, err := d.Next([]byte("1\r\naX")); string(data) != "a" || used != 4 || err != nil {
		t.Fatalf("%q, %d, %v", data, used, err)
	}
	for range 2 {
		_, used, done, err := d.Next([]byte("\r\n0\r\n\r\n"))
		wantError(t, err, "400 chunk without its end of line")
		if used != 0 || done {
			t.Errorf("used %d, done %v", used, done)
		}
	}
	d.Reset(chunked, http1.Limits{})
	if _, _, done, err := d.Next([]byte("0\r\n\r\n")); !done || err != nil {
		t.Errorf("after Reset: %v, %v", done, err)
	}
}

// TestExtensionsPaidFor wants an endless body to have an extension on each
// chunk, as long as it carries more payload.
func TestExtensionsPaidFor(t *testing.T) {
	chunk := append([]byte("80;signature="+strings.Repeat("a", 64)+"\r\n"), bytes.Repeat([]byte("x"), 128)...)
	in := bytes.Repeat(append(chunk, '\r', '\n'), 1000)
	data, _, _, _, err := decode(in, chunked, 4096, http1.Limits{})
	if err != nil || len(data) != 128_000 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// TestChunksRoundTrip writes payload in pieces and reads it in others.
func TestChunksRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SliceOf(rapid.Byte())).Draw(t, "pieces")
		var wire, want []byte
		for i, p := range pieces {
			want = append(want, p...)
			if i%2 == 0 {
				wire = http1.AppendChunk(wire, p)
			} else if wire = http1.AppendChunkHead(wire, len(p)); len(p) > 0 {
				wire = append(append(wire, p...), "\r\n"...)
			}
		}
		var h traffic.Head
		h.Reset()
		h.Add("a", []byte("b"))
		h.Add("content-length", []byte("7"))
		wire = http1.AppendEnd(wire, &h)
		step := rapid.IntRange(1, 64).Draw(t, "step")
		data, rest, done, trailers, err := decode(wire, chunked, step, http1.Limits{})
		if err != nil || !bytes.Equal(data, want) || len(rest) > 0 || !done || trailers != `a="b" ` {
			t.Fatalf("%q, rest %q, done %v, trailers %s, %v", data, rest, done, trailers, err)
		}
		std, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(wire)))
		if err != nil || !bytes.Equal(std, want) {
			t.Fatalf("httputil: %q, %v", std, err)
		}
	})
}

func FuzzBody(f *testing.F) {
	f.Add([]byte("3\r\nabc\r\n0\r\n\r\nGET"), uint8(2), uint8(1), int64(0))
	f.Add([]byte("1;a=b\r\nx\r\n0\r\nA: b\r\n\r\n"), uint8(2), uint8(3), int64(0))
	f.Add([]byte("1\r\nxx"), uint8(2), uint8(1), int64(0))
	f.Add([]byte("abcdef"), uint8(1), uint8(1), int64(4))
	f.Add([]byte("abcdef"), uint8(3), uint8(1), int64(0))
	f.Add([]byte("0\r\na: b\nc"), uint8(2), uint8(1), int64(0))
	f.Fuzz(func(t *testing.T, in []byte, kind, step uint8, n int64) {
		fr := traffic.Framing{Kind: traffic.FramingKind(kind % 4)}
		if fr.Kind == traffic.FramingLength {
			fr.Length = max(n, 0)
		}
		lim := http1.Limits{Bytes: 200, Fields: 5}
		data, rest, done, trailers, err := decode(in, fr, len(in)+1, lim)
		data2, rest2, done2, trailers2, err2 := decode(in, fr, int(step)+1, lim)
		if !bytes.Equal(data, data2) || done != done2 || trailers != trailers2 || !errors.Is(err2, err) ||
			err == nil && !bytes.Equal(rest, rest2) {
			t.Fatalf("whole: %q, %q, %v, %s, %v\nby %d: %q, %q, %v, %s, %v",
				data, rest, done, trailers, err, int(step)+1, data2, rest2, done2, trailers2, err2)
		}
		if done && fr.Kind == traffic.FramingChunked {
			again := http1.AppendEnd(http1.AppendChunk(nil, data), nil)
			if got, _, _, _, err := decode(again, fr, len(again), lim); err != nil || !bytes.Equal(got, data) {
				t.Fatalf("%q written again is %q, %v", data, got, err)
			}
		}
	})
}
