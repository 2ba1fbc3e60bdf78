package http1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sundog-mesh/sundog/internal/http1"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func TestKeepAlive(t *testing.T) {
	for _, tt := range []struct {
		version, fields string
		want            bool
	}{
		{"1.1", "", true},
		{"1.1", "Connection: keep-alive\r\n", true},
		{"1.1", "Connection: close\r\n", false},
		{"1.1", "Connection: Upgrade , CLOSE\r\n", false},
		{"1.1", "Connection: a\r\nConnection: close\r\n", false},
		{"1.1", "Connection: closed\r\n", true},
		{"1.1", "Proxy-Connection: close\r\n", false},
		{"1.1", "Proxy-Connection: keep-alive\r\n", true},
		{"1.0", "", false},
		{"1.0", "Connection: Keep-Alive\r\n", true},
		{"1.0", "Connection: keep-alive, close\r\n", false},
		{"1.0", "Connection: close\r\nConnection: keep-alive\r\n", false},
		{"1.0", "Proxy-Connection: keep-alive\r\n", false},
	} {
		var h traffic.Head
		in := "GET / HTTP/" + tt.version + "\r\nHost: a\r\n" + tt.fields + "\r\n"
		if _, err := http1.ParseRequest(&h, []byte(in), http1.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := http1.KeepAlive(&h); got != tt.want {
			t.Errorf("HTTP/%s %q: persists = %v", tt.version, tt.fields, got)
		}
		in = "HTTP/" + tt.version + " 200 OK\r\n" + tt.fields + "\r\n"
		if _, err := http1.ParseResponse(&h, []byte(in), []byte("GET"), http1.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := http1.KeepAlive(&h); got != tt.want {
			t.Errorf("response HTTP/%s %q: persists = %v", tt.version, tt.fields, got)
		}
	}
}

func TestRemoveHopByHop(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing to do", "A: 1\r\nB: 2\r\n", "a=1 b=2"},
		{
			"the fixed ones", "A: 1\r\nConnection: close\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n" +
				"Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nB: 2\r\n", "a=1 b=2",
		},
		{
			"those that stay", "Proxy-Authorization: x\r\nProxy-Authenticate: y\r\nTrailer: z\r\nVia: v\r\n",
			"proxy-authorization=x proxy-authenticate=y trailer=z via=v",
		},
		{"nominated, before and after", "X-A: 1\r\nB: 2\r\nConnection: x-A, close,,X-C\r\nX-c: 3\r\nX-a: 4\r\nD: 5\r\n", "b=2 d=5"},
		{"two Connection fields", "Connection: a\r\nConnection: b\r\nA: 1\r\nB: 2\r\nC: 3\r\n", "c=3"},
		{"nominated first and next to it", "A: 1\r\nConnection: a, b\r\nB: 2\r\nConnection: c\r\nC: 3\r\nD: 4\r\n", "d=4"},
		{"never nominated away", "Connection: content-length, host, connection\r\nContent-Length: 5\r\nA: 1\r\n", "content-length=5 a=1"},
		{"TE", "TE: gzip\r\nA: 1\r\n", "a=1"},
		{"TE trailers", "A: 1\r\nTE: trailers\r\nConnection: TE\r\n", "a=1 te=trailers"},
		{"TE with more than trailers", "TE: gzip;q=0.5, Trailers\r\nTE: trailers\r\nA: 1\r\n", "te=trailers a=1"},
		{"HTTP2-Settings", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h traffic.Head
			in := "POST / HTTP/1.1\r\nHost: a\r\n" + tt.in + "\r\n"
			if _, err := http1.ParseRequest(&h, []byte(in), http1.Limits{}); err != nil {
				t.Fatal(err)
			}
			http1.RemoveHopByHop(&h)
			if diff := cmp.Diff(tt.want, fields(&h)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if string(h.Authority()) != "a" {
				t.Errorf("authority is %q", h.Authority())
			}
		})
	}
}

func fields(h *traffic.Head) string {
	var all []string
	for i := range h.Len() {
		name, value := h.Field(i)
		all = append(all, string(name)+"="+string(value))
	}
	return strings.Join(all, " ")
}
