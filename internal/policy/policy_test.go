package policy_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	"github.com/sundog-mesh/sundog/internal/policy"
)

func pointer[T any](v T) *T { return &v }

// full has every field that there is.
func full() policy.Policy {
	return policy.Policy{
		Name: "shop/orders",
		Sample: policy.Sample{
			Percent: pointer(250.5), Key: policy.Key{Kind: policy.KeyHeader, Name: "x-user"}, Rate: 50,
			Methods: []string{"GET", "HEAD"}, Match: `request.path.startsWith("/a")`,
		},
		Request: policy.Request{
			Path: &policy.Path{Prefix: "/v1/", Replacement: "/v2/"},
			Redact: policy.Redact{
				Headers: []string{"authorization"}, Cookies: []string{"session"}, Query: []string{"token"},
				JSON: []string{"$.user.email"}, KeyFile: "/etc/key",
			},
		},
		Budget: policy.Budget{Timeout: 2500 * time.Millisecond, Buffer: 1 << 20, MaxRequests: 7, MaxBytes: 1 << 53},
		Brake:  policy.Brake{Off: true, Ratio: 1.5, ControlShare: pointer(5.0)},
		Compare: policy.Compare{
			Enabled: true, Baseline: policy.Baseline{Cluster: "outbound|80|v1|a", Again: 0.01, AgainRate: 5},
			Epsilon: 0.001, Alpha: 0.05, MaxLatencyRatio: 1.05, MaxBody: 256 << 10, Ignore: []string{"header.etag"},
			Fields: []policy.FieldRule{
				{Path: "body.id", Type: policy.TypeUUID},
				{Path: "body.items", Array: policy.ArrayKey, Key: "id", Absolute: 1, Relative: 0.5},
			},
			Endpoints: []string{"/users/{id}"}, OpenAPI: "/etc/api.yaml", Descriptors: "/etc/api.pb", Reflection: true,
		},
	}
}

func TestRoundTripOfEveryField(t *testing.T) {
	want := full()
	s, err := policy.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := policy.Decode(s)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Errorf("after encoding and decoding (-want +got):\n%s", diff)
	}
	if timeout := s.Fields["budget"].GetStructValue().Fields["timeout"].GetStringValue(); timeout != "2.5s" {
		t.Errorf("the timeout is written as %q", timeout)
	}
}

// The zero Policy changes nothing, and is a policy, too.
func TestZero(t *testing.T) {
	got, err := policy.Decode(&structpb.Struct{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&policy.Policy{}, got); diff != "" {
		t.Errorf("of nothing (-want +got):\n%s", diff)
	}
	if s, err := policy.Encode(policy.Policy{}); err != nil || !strings.Contains(s.String(), "sample") {
		t.Errorf("%v, %v", s, err)
	}
	if !got.Request.Redact.Empty() || pointer(full().Request.Redact).Empty() {
		t.Error("Redact.Empty is wrong")
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct{ json, want string }{
		{`{"colour": "red"}`, `unknown field "colour"`},
		{`{"budget": {"timeout": "1s", "time": 1}}`, `unknown field "time"`},
		{`{"budget": {"timeout": "fast"}}`, `budget.timeout: time: invalid duration "fast"`},
		{`{"budget": {"timeout": "-1s"}}`, "budget.timeout is -1000000000, which is not between 0 and"},
		{`{"budget": {"buffer": 1e17}}`, "budget.buffer is 100000000000000000, which is not between 0 and 9007199254740992"},
		{`{"budget": {"buffer": 1e30}}`, "cannot unmarshal number"},
		{`{"budget": {"buffer": 1.5}}`, "cannot unmarshal number 1.5"},
		{`{"sample": {"percent": 10001}}`, "sample.percent is 10001, which is not between 0 and 10000"},
		{`{"sample": {"key": {"kind": "Header"}}}`, `sample.key.name is for the kinds Header and Cookie, which need it; the kind is "Header"`},
		{`{"sample": {"key": {"kind": "IP"}}}`, `sample.key.kind is "IP", which is none of ["" "RequestID" "Header" "Cookie" "SourceAddress"]`},
		{`{"request": {"path": {}}}`, "request.path has not one of prefix and regex"},
		{`{"brake": {"ratio": 0.5}}`, "brake.ratio is 0.5, which is not between 1 and"},
		{`{"compare": {"alpha": 2, "epsilon": -1}}`, "compare.epsilon is -1, which is not between 0 and 1\ncompare.alpha is 2"},
		{`{"compare": {"fields": [{"path": "body", "array": "Key"}]}}`, "compare.fields[0].key is for arrays that are matched by Key"},
		{`{"compare": {"fields": [{"array": "Bag"}]}}`, `compare.fields[0].array is "Bag"`},
	} {
		s := &structpb.Struct{}
		if err := protojson.Unmarshal([]byte(c.json), s); err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Decode(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", c.json, err, c.want)
		}
	}
	bad := full()
	bad.Sample.Rate = math.NaN()
	if _, err := policy.Encode(bad); err == nil || !strings.Contains(err.Error(), "encoding policy: sample.rate is NaN") {
		t.Errorf("NaN: %v", err)
	}
}

// TestRoundTrip: what Check lets through is the same after Encode and Decode.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawPolicy(t)
		if err := want.Check(); err != nil {
			t.Fatalf("the generator makes what Check refuses: %v", err)
		}
		s, err := policy.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := policy.Decode(s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func drawPolicy(t *rapid.T) policy.Policy {
	texts := func(label string) []string { return rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, label) }
	text := func(label string) string { return rapid.StringN(1, 8, -1).Draw(t, label) }
	share := func(label string, high float64) float64 { return rapid.Float64Range(0, high).Draw(t, label) }
	size := func(label string) int64 { return rapid.Int64Range(0, 1<<53).Draw(t, label) }
	p := policy.Policy{Name: text("name")}
	if rapid.Bool().Draw(t, "percent") {
		p.Sample.Percent = pointer(share("percent", 10_000))
		p.Brake.ControlShare = pointer(share("control", 100))
	}
	p.Sample.Key.Kind = rapid.SampledFrom([]policy.KeyKind{"", policy.KeyRequestID, policy.KeyHeader, policy.KeyCookie, policy.KeySourceAddress}).Draw(t, "key")
	if p.Sample.Key.Kind == policy.KeyHeader || p.Sample.Key.Kind == policy.KeyCookie {
		p.Sample.Key.Name = text("key name")
	}
	p.Sample.Rate, p.Sample.Methods, p.Sample.Match = share("rate", 1e9), texts("methods"), rapid.String().Draw(t, "match")
	switch rapid.IntRange(0, 2).Draw(t, "path") {
	case 1:
		p.Request.Path = &policy.Path{Prefix: text("prefix"), Replacement: rapid.String().Draw(t, "replacement")}
	case 2:
		p.Request.Path = &policy.Path{Regex: text("regex"), Substitution: rapid.String().Draw(t, "substitution")}
	}
	p.Request.Redact = policy.Redact{Headers: texts("headers"), Cookies: texts("cookies"), Query: texts("query"), JSON: texts("json"), KeyFile: rapid.String().Draw(t, "key file")}
	p.Budget = policy.Budget{
		Timeout: time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "timeout")), Buffer: size("buffer"),
		MaxRequests: rapid.IntRange(0, math.MaxInt32).Draw(t, "requests"), MaxBytes: size("bytes"),
	}
	p.Brake.Off, p.Brake.Ratio = rapid.Bool().Draw(t, "off"), rapid.Float64Range(1, 1e300).Draw(t, "ratio")
	p.Compare = policy.Compare{
		Enabled: rapid.Bool().Draw(t, "compare"), Baseline: policy.Baseline{Cluster: rapid.String().Draw(t, "cluster"), Again: share("again", 1), AgainRate: share("again rate", 1e6)},
		Epsilon: share("epsilon", 1), Alpha: share("alpha", 1), MaxBody: size("body"), Ignore: texts("ignore"), Endpoints: texts("endpoints"),
		OpenAPI: rapid.String().Draw(t, "openapi"), Descriptors: rapid.String().Draw(t, "descriptors"), Reflection: rapid.Bool().Draw(t, "reflection"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "fields") {
		f := policy.FieldRule{
			Path: text("field"), Absolute: share("absolute", 1e300), Relative: share("relative", 1),
			Type:  rapid.SampledFrom([]policy.FieldType{"", policy.TypeUUID, policy.TypeTimestamp, policy.TypeCounter, policy.TypeToken, policy.TypeFloat, policy.TypeAny}).Draw(t, "type"),
			Array: rapid.SampledFrom([]policy.ArrayMode{"", policy.ArrayIndex, policy.ArraySet, policy.ArrayKey}).Draw(t, "array"),
		}
		if f.Array == policy.ArrayKey {
			f.Key = text("array key")
		}
		p.Compare.Fields = append(p.Compare.Fields, f)
	}
	return p
}

// FuzzDecode: no Struct makes Decode panic, and what it takes is a policy that
// stays the same.
func FuzzDecode(f *testing.F) {
	s, err := policy.Encode(full())
	if err != nil {
		f.Fatal(err)
	}
	wire, err := proto.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	for _, text := range []string{`{}`, `{"name": null}`, `{"sample": {"methods": []}}`, `{"budget": {"timeout": "1h"}}`, `{"sample": {"percent": 1e-320}}`} {
		if err := protojson.Unmarshal([]byte(text), s); err != nil {
			f.Fatal(err)
		}
		if wire, err = proto.Marshal(s); err != nil {
			f.Fatal(err)
		}
		f.Add(wire)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		s := &structpb.Struct{}
		if proto.Unmarshal(wire, s) != nil {
			return
		}
		p, err := policy.Decode(s)
		if err != nil {
			return
		}
		again, err := policy.Encode(*p)
		if err != nil {
			t.Fatalf("what Decode took, Encode refuses: %v", err)
		}
		same, err := policy.Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, same, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("-first +second:\n%s", diff)
		}
	})
}
