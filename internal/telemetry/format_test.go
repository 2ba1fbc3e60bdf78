package telemetry_test

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/sundog-mesh/sundog/internal/telemetry"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// istioText is Istio's default accessLogFormat.
const istioText = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% ` +
	`%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" ` +
	`%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ` +
	`"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% ` +
	`%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%` + "\n"

const v1 = "outbound|8000|v1|httpbin.default.svc.cluster.local"

// exchange is a GET with one completed shadow and one that was left out.
func exchange() *traffic.Exchange {
	e := &traffic.Exchange{
		Start:            time.Date(2026, 3, 4, 5, 6, 7, 89_123_456, time.UTC),
		Listener:         "127.0.0.1_15001",
		VirtualHost:      "httpbin.default.svc.cluster.local:8000",
		Route:            "default",
		DownstreamLocal:  netip.MustParseAddrPort("127.0.0.1:15001"),
		DownstreamRemote: netip.MustParseAddrPort("[::1]:40000"),
		RequestBytes:     12,
		Primary: traffic.Answer{
			Cluster: v1, Upstream: netip.MustParseAddrPort("127.0.0.1:28001"),
			UpstreamLocal: netip.MustParseAddrPort("127.0.0.1:40002"),
			ResponseBytes: 345, Details: "via_upstream", Duration: 6789 * time.Microsecond,
		},
		Shadows: []traffic.Answer{
			{
				Cluster: "outbound|8000|v2|httpbin.default.svc.cluster.local", Authority: "httpbin-shadow:8000",
				Upstream: netip.MustParseAddrPort("127.0.0.1:28002"), Outcome: traffic.Completed,
				ResponseBytes: 9, Details: "via_upstream", Duration: 20 * time.Millisecond,
			},
			{Cluster: "other", Outcome: traffic.NotSampled},
			{Cluster: "refusing", Authority: "httpbin-shadow:8000", Outcome: traffic.ConnectFailed, Flags: traffic.FlagUpstreamFailure},
		},
	}
	e.Request.Reset()
	e.Request.SetMethod([]byte("GET"))
	e.Request.SetPath([]byte("/get?a=1"))
	e.Request.SetAuthority([]byte("httpbin:8000"))
	e.Request.Add("user-agent", []byte("curl/8"))
	e.Request.Add("x-request-id", []byte("id-1"))
	e.Primary.Response.Status = 200
	e.Primary.Response.Add("x-envoy-upstream-service-time", []byte("5"))
	e.Shadows[0].Response.Status = 503
	return e
}

func TestIstioDefaultText(t *testing.T) {
	f, err := telemetry.CompileText(istioText, false)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		shadow int
		want   string
	}{
		"primary": {-1, `[2026-03-04T05:06:07.089Z] "GET /get?a=1 HTTP/1.1" 200 - via_upstream - "-" 12 345 6 5 "-" "curl/8" "id-1" ` +
			`"httpbin:8000" "127.0.0.1:28001" ` + v1 + ` 127.0.0.1:40002 127.0.0.1:15001 [::1]:40000 - default` + "\n"},
		"shadow": {0, `[2026-03-04T05:06:07.089Z] "GET /get?a=1 HTTP/1.1" 503 - via_upstream - "-" 12 9 20 - "-" "curl/8" "id-1" ` +
			`"httpbin-shadow:8000" "127.0.0.1:28002" outbound|8000|v2|httpbin.default.svc.cluster.local - 127.0.0.1:15001 [::1]:40000 - default shadow outcome=completed` + "\n"},
		"shadow that nobody answered": {2, `[2026-03-04T05:06:07.089Z] "GET /get?a=1 HTTP/1.1" 0 UF - - "-" 12 0 0 - "-" "curl/8" "id-1" ` +
			`"httpbin-shadow:8000" "-" refusing - 127.0.0.1:15001 [::1]:40000 - default shadow outcome=connect_failed` + "\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(f.Line(nil, exchange(), tt.shadow, nil))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOperators(t *testing.T) {
	t.Setenv("SUNDOG_TEST_ZONE", "a-1")
	tests := []struct{ format, want string }{
		{"100%% %PROTOCOL%", "100% HTTP/1.1"},
		{"%REQ(:METHOD):2%", "GE"},
		{"%REQ(X-MISSING?:AUTHORITY):7%", "httpbin"},
		{"%REQ(X-MISSING?ALSO-MISSING)%", "-"},
		{"%REQ_WITHOUT_QUERY(:PATH)%", "/get"},
		{"%RESP(:STATUS)%", "200"},
		{"%START_TIME(%Y/%m/%dT%H:%M:%S.%3f)%", "2026/03/04T05:06:07.089"},
		{"%START_TIME(%s.%6f %E3S %%)%", "1772600767.089123 07.089 %"},
		{"%UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW%", "alt " + v1},
		{"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_REMOTE_PORT%", "::1 40000"},
		{"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "127.0.0.1 28001"},
		{"%VIRTUAL_HOST_NAME%", "httpbin.default.svc.cluster.local:8000"},
		{"%ENVIRONMENT(SUNDOG_TEST_ZONE)% %ENVIRONMENT(SUNDOG_TEST_NONE):3%", "a-1 -"},
		{"%DOWNSTREAM_TLS_VERSION%%TRACE_ID%", "--"},
		{`say "%REQ(USER-AGENT)%"`, `say "curl/8"`},
	}
	for _, tt := range tests {
		f, err := telemetry.CompileText(tt.format, false)
		if err != nil {
			t.Errorf("%s: %v", tt.format, err)
			continue
		}
		if got := string(f.Line(nil, exchange(), -1, map[string]string{v1: "alt"})); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.format, got, tt.want)
		}
	}
}

func TestOmitEmptyValues(t *testing.T) {
	f, err := telemetry.CompileText("<%REQ(X-MISSING)%>", true)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(f.Line(nil, exchange(), -1, nil)); got != "<>" {
		t.Errorf("got %q, want <>", got)
	}
}

func TestFlagNames(t *testing.T) {
	f, err := telemetry.CompileText("%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", false)
	if err != nil {
		t.Fatal(err)
	}
	e := exchange()
	e.Primary.Flags = traffic.FlagUpstreamFailure | traffic.FlagRetryExhausted
	want := "UF,URX UpstreamConnectionFailure,UpstreamRetryLimitExceeded"
	if got := string(f.Line(nil, e, -1, nil)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFormatErrors(t *testing.T) {
	tests := []struct{ format, want string }{
		{"%NO_SUCH_THING%", "operator %NO_SUCH_THING% is not known"},
		{"%TRAILER(grpc-status)%", "operator %TRAILER%: trailers are passed on"},
		{"%REQ%", "operator %REQ% needs an argument"},
		{"%REQ(:PATH%", "operator %REQ%: the parenthesis is not closed"},
		{"%REQ(:PATH):x%", "the length after ':' is not a positive number"},
		{"%REQ(:PATH):%", "the length after ':' is not a positive number"},
		{"%REQ(:PATH):", "the length after ':' is not a positive number"},
		{"%PROTOCOL(x)%", "operator %PROTOCOL% takes no argument"},
		{"%START_TIME(%Q)%", "%START_TIME%: \"%Q\" begins with a time conversion"},
		{"50% of it", `"% of it" is not a command operator`},
		{"%", `"%" is not a command operator`},
	}
	for _, tt := range tests {
		_, err := telemetry.CompileText(tt.format, false)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.format, err, tt.want)
		}
	}
}

func TestJSON(t *testing.T) {
	template, err := structpb.NewStruct(map[string]any{
		"code": "%RESPONSE_CODE%", "path": "%REQ(:PATH)%", "none": "%REQ(X-NONE)%", "time": "%START_TIME%",
		"mixed": "a \"b\" %REQ(X-NONE)% %RESPONSE_CODE%", "nested": map[string]any{"d": "%DURATION%"},
		"list": []any{"%PROTOCOL%", 1.5, true, nil}, "empty": map[string]any{},
	})
	if err != nil {
		t.Fatal(err)
	}
	f, err := telemetry.CompileJSON(template, false)
	if err != nil {
		t.Fatal(err)
	}
	base := `{"code":200,"empty":{},"list":["HTTP/1.1",1.5,true,null],"mixed":"a \"b\" - 200","nested":{"d":6},` +
		`"none":null,"path":"/get?a=1","time":"2026-03-04T05:06:07.089Z"`
	if diff := cmp.Diff(base+"}\n", string(f.Line(nil, exchange(), -1, nil))); diff != "" {
		t.Error(diff)
	}
	var shadow map[string]any
	if err := json.Unmarshal(f.Line(nil, exchange(), 0, nil), &shadow); err != nil {
		t.Fatal(err)
	}
	if shadow["shadow"] != true || shadow["outcome"] != "completed" || shadow["code"] != 503.0 {
		t.Errorf("the shadow's line is %v", shadow)
	}
}

func TestJSONErrorNamesKeyAndOperator(t *testing.T) {
	template, err := structpb.NewStruct(map[string]any{"a": map[string]any{"b": "%NOPE%"}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = telemetry.CompileJSON(template, false)
	if want := `key "a.b": operator %NOPE% is not known`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A value can neither begin a line nor leave its JSON string.
func FuzzValuesStayInTheirPlace(f *testing.F) {
	for _, s := range []string{"plain", "a\nb", "a\r\n[2026] forged", `q"uo\te`, "\x00\x7f\x1b[31m", "\xff\xc3", "é\u2028"} {
		f.Add(s)
	}
	textFormat, err := telemetry.CompileText("%REQ(USER-AGENT)% end\n", false)
	if err != nil {
		f.Fatal(err)
	}
	template, err := structpb.NewStruct(map[string]any{"ua": "%REQ(USER-AGENT)%", "in": "<%REQ(USER-AGENT)%>"})
	if err != nil {
		f.Fatal(err)
	}
	jsonFormat, err := telemetry.CompileJSON(template, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, value string) {
		e := exchange()
		e.Request.Set("user-agent", []byte(value))
		line := textFormat.Line(nil, e, -1, nil)
		if i := bytes.IndexFunc(line[:len(line)-1], func(r rune) bool { return r < 0x20 || r == 0x7f }); i >= 0 {
			t.Errorf("text line holds a control character at %d: %q", i, line)
		}
		var got map[string]string
		if err := json.Unmarshal(jsonFormat.Line(nil, e, -1, nil), &got); err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		if want := strings.ToValidUTF8(value, ""); strings.ToValidUTF8(strings.ReplaceAll(got["ua"], "\ufffd", ""), "") != strings.ReplaceAll(want, "\ufffd", "") {
			t.Errorf("JSON value %q, want %q", got["ua"], value)
		}
	})
}

func FuzzCompileText(f *testing.F) {
	f.Add(istioText)
	f.Add("%REQ(a?b):3% %% %START_TIME(%Y)%")
	f.Add("%REQ(:PATH):")
	f.Fuzz(func(t *testing.T, format string) {
		compiled, err := telemetry.CompileText(format, false)
		if err != nil {
			return
		}
		compiled.Line(nil, exchange(), -1, nil)
		compiled.Line(nil, exchange(), 0, nil)
	})
}
