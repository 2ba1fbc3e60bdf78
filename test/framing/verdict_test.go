package framing

import (
	"strings"
	"testing"
)

// TestCompare: what would be smuggling is a finding, what is refused is none.
func TestCompare(t *testing.T) {
	request := func(method, body string, whole bool) message {
		return message{forwarded: &recorded{method: method, target: "/", host: "x", body: []byte(body), whole: whole}, status: 200}
	}
	refused := message{status: 400}
	for _, tt := range []struct {
		name          string
		a, b          []message
		waitsA, waits bool
		finding       string
	}{
		{"alike", []message{request("GET", "", true)}, []message{request("GET", "", true)}, false, false, ""},
		{"another body", []message{request("GET", "a", true)}, []message{request("GET", "ab", true)}, false, false, "another body"},
		{"a body that another reads on in", []message{request("GET", "a", true)}, []message{request("GET", "ab", false)}, false, true, "is whole for one"},
		{"two for one", []message{request("GET", "", true), request("GET", "", true)}, []message{request("GET", "", true)}, false, true, "waits for"},
		{"one for two", []message{request("GET", "", true)}, []message{request("GET", "", true), request("GET", "", true)}, true, false, "waits for"},
		{"another start", []message{request("GET", "", true)}, []message{request("POST", "", true)}, false, false, "forwarded GET"},
		{"refused by one", []message{refused}, []message{request("GET", "", true), request("GET", "", true)}, false, false, ""},
		{"closed by one", []message{request("GET", "", true)}, []message{request("GET", "", true), request("GET", "", true)}, false, false, ""},
		{"refused in the body", []message{request("GET", "a", false)}, []message{request("GET", "ab", true)}, false, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := compare(&seen{messages: tt.a, waits: tt.waitsA}, &seen{messages: tt.b, waits: tt.waits}, "a", "b")
			if (v.finding == "") != (tt.finding == "") || !strings.Contains(v.finding, tt.finding) {
				t.Errorf("finding %q, want %q; kinds %q", v.finding, tt.finding, v.kinds)
			}
		})
	}
}
