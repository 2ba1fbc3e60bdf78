package http2_test

import (
	"errors"
	"io"
	"testing"

	"github.com/sundog-mesh/sundog/internal/http2"
	"github.com/sundog-mesh/sundog/internal/traffic"
	xhttp2 "golang.org/x/net/http2"
)

func (p *peer) open() *http2.Stream {
	p.t.Helper()
	s, err := p.conn.Open()
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// begin opens a stream and sends a request without a body.
func (p *peer) begin(method string) *http2.Stream {
	p.t.Helper()
	s := p.open()
	s.SendHead(request(method, "/"), traffic.Framing{}, true)
	return s
}

func TestClientBegins(t *testing.T) {
	p := newPeer(t, true, http2.Options{StreamWindow: 100})
	p.out.buf = p.out.buf[len(xhttp2.ClientPreface):]
	p.want("SETTINGS 0 ack=false [ENABLE_PUSH = 0] [INITIAL_WINDOW_SIZE = 100] [MAX_HEADER_LIST_SIZE = 61440]", "WINDOW_UPDATE 0 983041")
	p.begin("GET") // before anything has come
	p.want("HEADERS 1 :method=GET :scheme=http :path=/ :authority=a end")
}

func TestClientExchange(t *testing.T) {
	p := client(t, http2.Options{})
	s := p.open()
	var w wakes
	s.Bind(&w)
	s.SendHead(request("POST", "/x", "te", "trailers"), chunked, false)
	s.Write([]byte("hello"))
	s.End(response(0, "sum", "5"))
	p.want("HEADERS 1 :method=POST :scheme=http :path=/x :authority=a te=trailers", "DATA 1 5", "HEADERS 1 sum=5 end")
	p.headers(1, false, ":status", "103", "link", "x")
	p.headers(1, false, ":status", "100")
	p.headers(1, false, ":status", "200", "grpc", "1")
	p.do(p.WriteData(1, false, []byte("hi")))
	p.feed()
	for _, status := range []int{103, 100, 200} {
		h, f, ok := s.Head()
		if !ok || h.Status != status || status == 200 != (f == chunked) {
			t.Fatalf("head %v %v %v, want status %d", ok, h, f, status)
		}
	}
	if body, done, err := readAll(s); body != "hi" || done || err != nil {
		t.Errorf("body %q, done %t, error %v", body, done, err)
	}
	w = 0
	p.headers(1, true, "grpc-status", "0")
	p.feed()
	if _, done, err := s.Next(); !done || err != nil || w == 0 {
		t.Errorf("done %t, error %v, %d wake-ups", done, err, w)
	}
	if v, _ := s.Trailers().Get("grpc-status"); string(v) != "0" {
		t.Errorf("trailer %q", v)
	}
	s.Release()
	p.want()
	if why := p.conn.Idle(nil); why != "" {
		t.Error(why)
	}
}

func TestFramingOfAnswers(t *testing.T) {
	tests := []struct {
		name, method string
		end          bool
		fields       []string
		want         traffic.Framing
		err          string
	}{
		{"length", "GET", false, []string{":status", "200", "content-length", "3"}, length(3), ""},
		{"no length", "GET", false, []string{":status", "200"}, chunked, ""},
		{"no body", "GET", true, []string{":status", "200"}, traffic.Framing{}, ""},
		{"length 0", "GET", true, []string{":status", "200", "content-length", "0"}, length(0), ""},
		{"to HEAD", "HEAD", true, []string{":status", "200", "content-length", "3"}, traffic.Framing{}, ""},
		{"not modified", "GET", true, []string{":status", "304", "content-length", "3"}, traffic.Framing{}, ""},
		{"length without a body", "GET", true, []string{":status", "200", "content-length", "3"}, traffic.Framing{}, "http2: stream reset: PROTOCOL_ERROR: no DATA in spite of Content-Length"},
		{"informational at the end", "GET", true, []string{":status", "103"}, traffic.Framing{}, "http2: stream reset: PROTOCOL_ERROR: informational head that ends the stream"},
		{"no status", "GET", false, []string{"a", "b"}, traffic.Framing{}, "http2: stream reset: PROTOCOL_ERROR: no :status"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := client(t, http2.Options{})
			s := p.begin(tt.method)
			p.headers(1, tt.end, tt.fields...)
			p.feed()
			_, f, ok := s.Head()
			if tt.err != "" {
				if ok || s.Err() == nil || s.Err().Error() != tt.err {
					t.Errorf("error %v, want %s", s.Err(), tt.err)
				}
				return
			}
			if !ok || f != tt.want || s.Err() != nil {
				t.Errorf("head %t, framing %v, want %v; error %v", ok, f, tt.want, s.Err())
			}
		})
	}
}

func TestMaxStreamsOfTheServer(t *testing.T) {
	p := client(t, http2.Options{MaxStreams: 3})
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 1}))
	p.feed()
	a := p.open()
	if _, err := p.conn.Open(); !errors.Is(err, http2.ErrNoStreams) || p.conn.CanOpen() {
		t.Errorf("error %v", err)
	}
	p.do(p.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingMaxConcurrentStreams, Val: 10}))
	p.feed()
	b, c := p.open(), p.open()
	if p.conn.CanOpen() || p.conn.ActiveStreams() != 3 {
		t.Errorf("our own limit does not hold: %d streams", p.conn.ActiveStreams())
	}
	p.frames()
	// Identifiers follow the order of the heads, not that of Open.
	c.SendHead(request("GET", "/c"), traffic.Framing{}, true)
	a.SendHead(request("GET", "/a"), traffic.Framing{}, true)
	p.want("HEADERS 1 :method=GET :scheme=http :path=/c :authority=a end", "HEADERS 3 :method=GET :scheme=http :path=/a :authority=a end")
	b.Release()
	if !p.conn.CanOpen() {
		t.Error("a stream that never began still counts")
	}
	a.Release()
	p.want("RST_STREAM 3 CANCEL")
}

func TestGoAwayOfTheServer(t *testing.T) {
	p := client(t, http2.Options{})
	a, b, c := p.begin("GET"), p.begin("GET"), p.open()
	p.frames()
	p.do(p.WriteGoAway(1, xhttp2.ErrCodeNo, []byte("bye")))
	p.feed()
	c.SendHead(request("GET", "/"), traffic.Framing{}, true)
	if a.Err() != nil || !b.Refused() || !c.Refused() || p.conn.CanOpen() {
		t.Errorf("errors %v, %v, %v", a.Err(), b.Err(), c.Err())
	}
	p.headers(1, true, ":status", "200")
	p.feed()
	if _, _, ok := a.Head(); !ok {
		t.Error("the stream that was not left out got no answer")
	}
	for _, s := range []*http2.Stream{a, b, c} {
		s.Release()
	}
	p.want()
	if !p.conn.Over() {
		t.Error("not over")
	}
}

func TestResetByTheServer(t *testing.T) {
	p := client(t, http2.Options{})
	refused, early := p.begin("GET"), p.open()
	early.SendHead(request("POST", "/"), chunked, false)
	early.Write(make([]byte, 100000))
	p.frames()
	p.do(p.WriteRSTStream(1, xhttp2.ErrCodeRefusedStream))
	p.headers(3, false, ":status", "413")
	p.do(p.WriteData(3, true, []byte("too large")))
	p.do(p.WriteRSTStream(3, xhttp2.ErrCodeNo))
	p.feed()
	if !refused.Refused() {
		t.Errorf("error %v", refused.Err())
	}
	var se *http2.StreamError
	if !errors.As(early.Err(), &se) || se.Code != http2.ErrCodeNo || early.Refused() || early.Full() || early.Pending() != 0 {
		t.Errorf("error %v, %d pending", early.Err(), early.Pending())
	}
	if _, f, ok := early.Head(); !ok || f != chunked {
		t.Error("the complete answer is gone")
	}
	if body, done, err := readAll(early); body != "too large" || !done || err != nil {
		t.Errorf("body %q, done %t, error %v", body, done, err)
	}
	refused.Release()
	early.Release()
	p.want()
	if why := p.conn.Idle(nil); why != "" {
		t.Error(why)
	}
}

func TestAbandon(t *testing.T) {
	p := client(t, http2.Options{})
	done, open := p.begin("GET"), p.begin("GET")
	p.headers(1, false, ":status", "200")
	p.do(p.WriteData(1, true, []byte("all of it")))
	p.headers(3, false, ":status", "200")
	p.do(p.WriteData(3, false, []byte("a part")))
	p.feed()
	var w wakes
	open.Bind(&w)
	p.frames()
	p.conn.Abandon(io.ErrUnexpectedEOF)
	if body, end, err := readAll(done); body != "all of it" || !end || err != nil {
		t.Errorf("body %q, done %t, error %v", body, end, err)
	}
	if _, _, err := open.Next(); !errors.Is(err, io.ErrUnexpectedEOF) || w != 1 || open.Refused() {
		t.Errorf("error %v, %d wake-ups", err, w)
	}
	open.Release()
	done.Release()
	if p.conn.ActiveStreams() != 0 || p.conn.CanOpen() || !p.conn.Over() {
		t.Error("the connection is not at its end")
	}
	p.want()
}

func TestEarlyHeadsAreBounded(t *testing.T) {
	p := client(t, http2.Options{})
	s := p.begin("GET")
	for range 100 {
		p.headers(1, false, ":status", "103")
	}
	p.headers(1, true, ":status", "204")
	p.feed()
	n := 0
	for h, _, ok := s.Head(); ok; h, _, ok = s.Head() {
		n++
		if h.Status == 204 != (n == 9) {
			t.Errorf("head %d has status %d", n, h.Status)
		}
	}
	if n != 9 {
		t.Errorf("%d heads, want 9", n)
	}
}

func TestPing(t *testing.T) {
	p := client(t, http2.Options{})
	p.conn.Ping()
	p.want("PING ack=false 0000000000000001")
	p.do(p.WritePing(true, [8]byte{7: 9})) // nobody asked for it
	p.do(p.WritePing(false, [8]byte{1}))
	p.feed()
	if sent, answered := p.conn.Pings(); sent != 1 || answered != 0 {
		t.Errorf("%d sent, %d answered", sent, answered)
	}
	p.want("PING ack=true 0100000000000000")
	p.do(p.WritePing(true, [8]byte{7: 1}))
	p.feed()
	if _, answered := p.conn.Pings(); answered != 1 {
		t.Errorf("%d answered", answered)
	}
}
