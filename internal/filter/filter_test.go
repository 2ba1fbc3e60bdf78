package filter_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sundog-mesh/sundog/internal/filter"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

func request() *filter.Request {
	h := new(traffic.Head)
	h.Reset()
	h.SetMethod([]byte("GET"))
	h.SetScheme([]byte("http"))
	h.SetAuthority([]byte("shop.example:8080"))
	h.SetPath([]byte("/items/7?color=red&n=2"))
	for _, f := range [][2]string{
		{"x-user", "alice"},
		{"user-agent", "curl/8"},
		{"referer", "http://a/"},
		{"x-request-id", "42"},
		{"content-length", "12"},
		{"accept", "text/html"},
		{"accept", "text/*"},
		{"accept", "*/*"},
		{"cookie", "a=1"},
		{"cookie", "b=2"},
		{"x-empty", ""},
	} {
		h.Add(f[0], []byte(f[1]))
	}
	return &filter.Request{
		Head:        h,
		Source:      netip.MustParseAddrPort("192.0.2.1:4711"),
		Destination: netip.MustParseAddrPort("[2001:db8::1]:80"),
		Time:        time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
	}
}

func compile(t testing.TB, expression string) *filter.Program {
	t.Helper()
	p, err := filter.Compile(expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return p
}

func TestMatches(t *testing.T) {
	for expression, want := range map[string]bool{
		"":                                  true,
		"  \n":                              true,
		`request.method == "GET"`:           true,
		`request.method in ["POST", "PUT"]`: false,
		`request.path == "/items/7?color=red&n=2"`:                                  true,
		`request.url_path.matches("^/items/[0-9]+$")`:                               true,
		`matches(request.path, "items")`:                                            true,
		`request.query.contains("color=red")`:                                       true,
		`request.query == "color=red&n=2"`:                                          true,
		`request.host == "shop.example:8080"`:                                       true,
		`request.scheme == "http" && request.protocol == "HTTP/1.1"`:                true,
		`request.headers["x-user"].startsWith("a") && request.method == "GET"`:      true,
		`request.headers["X-User"] == "alice"`:                                      true,
		`request.headers["accept"] == "text/html,text/*,*/*"`:                       true,
		`request.headers["cookie"] == "a=1; b=2"`:                                   true,
		`request.headers[":path"] == request.path`:                                  true,
		`request.headers["host"] == request.headers[":authority"]`:                  true,
		`"x-user" in request.headers`:                                               true,
		`"x-nobody" in request.headers`:                                             false,
		`"x-empty" in request.headers && request.headers["x-empty"] == ""`:          true,
		`request.headers[?"x-nobody"].orValue("none") == "none"`:                    true,
		`request.headers[?"x-user"].orValue("none") == "alice"`:                     true,
		`has(request.headers.accept)`:                                               true,
		`has(request.headers.nothing)`:                                              false,
		`request.headers.exists(k, k.startsWith("x-") && request.headers[k] == "")`: true,
		`request.headers.all(k, k != "x-nobody")`:                                   true,
		`size(request.headers) == 12`:                                               true,
		`request.headers == {"a": "b"}`:                                             false,
		`request.headers["x-nobody"] == "" || request.method == "GET"`:              true,
		`request.referer == "http://a/" && request.useragent == "curl/8"`:           true,
		`request.id == "42" && request.size == 12`:                                  true,
		`request.time > timestamp("2026-01-01T00:00:00Z")`:                          true,
		`request.time.getHours() == 4`:                                              true,
		`source.address.startsWith("192.0.2.") && source.port == 4711`:              true,
		`destination.address == "[2001:db8::1]:80" && destination.port == 80`:       true,
	} {
		got, err := compile(t, expression).Matches(request())
		if err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", expression, got, err, want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	for expression, want := range map[string][]string{
		`request.verb == "GET"`:                        {"line 1, column 1", "request.verb is not known", "request.method", "source.address"},
		"request.method ==\n\"GET\" &&":                {"line 2", "Syntax error"},
		`request.method`:                               {"type string", "true or false"},
		`request.size == "a"`:                          {"column 14", "no matching overload"},
		`dyn(request.method)`:                          {"true or false"},
		`request.path.matches("(")`:                    {"missing closing )"},
		`request.path.matches(request.id)`:             {"literal"},
		`matches(request.path, "a" + "b")`:             {"literal"},
		`request.path.matches("((a{100}){9})")`:        {"may have 500"},
		strings.Repeat(" ", 4090) + `request.id == ""`: {"4096"},
	} {
		p, err := filter.Compile(expression)
		if err == nil {
			t.Errorf("%s: no error", expression)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v; want %q", expression, err, w)
			}
		}
		if p != nil {
			t.Errorf("%s: a program beside an error", expression)
		}
	}
}

func TestNoValue(t *testing.T) {
	for expression, want := range map[string]string{
		`request.headers["x-nobody"] == "a"`:                 "no such key: x-nobody",
		`!request.headers["x-nobody"].startsWith("a")`:       "no such key: x-nobody",
		`int(request.headers["x-user"]) == 1`:                "type conversion",
		`request.size / (request.size - request.size) == 12`: "division by zero",
	} {
		got, err := compile(t, expression).Matches(request())
		if got || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", expression, got, err, want)
		}
	}
}

// No expression takes the processor or the memory for long.
func TestCost(t *testing.T) {
	r := request()
	for range 100 {
		r.Head.Add("x-filler"+strings.Repeat("x", r.Head.Len()), []byte(strings.Repeat("v", 100)))
	}
	deep := `request.headers.exists(a, request.headers.exists(b, request.headers.exists(c, a + b + c == "")))`
	long := strings.Repeat("request.headers.map(k, ", 4) + "request.headers" + strings.Repeat(")", 4) + " == []"
	double := `["a"].map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a)` +
		`.map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a) == [request.id]`
	for _, expression := range []string{deep, long, double} {
		p := compile(t, expression)
		allocs := testing.AllocsPerRun(1, func() {
			if got, err := p.Matches(r); got || err == nil || !strings.Contains(err.Error(), "cost limit") {
				t.Errorf("%s: %v, %v", expression, got, err)
			}
		})
		if allocs > 100_000 {
			t.Errorf("%s: %v allocations", expression, allocs)
		}
	}
}

// An expression that no request is cheap enough for is refused.
func TestTooCostlyForAll(t *testing.T) {
	ten := `[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]`
	costly := "1"
	for _, v := range "abcde" {
		costly = fmt.Sprintf("%s.map(%c, %s)", ten, v, costly)
	}
	_, err := filter.Compile(costly + " != []")
	if err == nil || !strings.Contains(err.Error(), "leave out all") {
		t.Errorf("the error is %v", err)
	}
}

// A long text is not given to a large regular expression.
func TestLongText(t *testing.T) {
	for _, form := range []string{`request.path.matches(%q)`, `matches(request.path, %q)`} {
		large, small := compile(t, fmt.Sprintf(form, "(a?){50}b")), compile(t, fmt.Sprintf(form, "^/aa"))
		r := request()
		r.Head.SetPath([]byte("/" + strings.Repeat("a", 8000)))
		if got, err := large.Matches(r); got || err == nil || !strings.Contains(err.Error(), "8001 bytes") {
			t.Errorf("%v, %v", got, err)
		}
		if got, err := small.Matches(r); !got || err != nil {
			t.Errorf("%v, %v", got, err)
		}
		r.Head.SetPath([]byte("/b"))
		if got, err := large.Matches(r); !got || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// What is cheap for any request is not counted, unless a request is larger
// than any should be.
func TestUncounted(t *testing.T) {
	p := compile(t, `request.headers["x-user"].startsWith("a") && request.method == "GET" && request.path.contains("7")`)
	r := request()
	few := testing.AllocsPerRun(10, func() { _, _ = p.Matches(r) })
	for range 1001 {
		r.Head.Add("x-filler", nil)
	}
	many := testing.AllocsPerRun(10, func() {
		if ok, err := p.Matches(r); !ok || err != nil {
			t.Error(ok, err)
		}
	})
	if few > 8 || many <= few {
		t.Errorf("%v and %v allocations", few, many)
	}
}

func TestConcurrent(t *testing.T) {
	p := compile(t, `request.headers["x-user"] == "alice" && request.headers.exists(k, k == "accept")`)
	done := make(chan error)
	for range 4 {
		go func() {
			var failed error
			for range 200 {
				if got, err := p.Matches(request()); err != nil || !got {
					failed = err
				}
			}
			done <- failed
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	p := compile(b, `request.headers["x-user"].startsWith("a") && request.method == "GET"`)
	r := request()
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := p.Matches(r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// Whatever is written as an expression, it compiles or has an error, and ends.
func FuzzCompile(f *testing.F) {
	for _, e := range []string{
		`request.method == "GET"`, `request.headers.exists(k, request.headers[k] == "")`, `1`, `(`, `"\xff" in request.headers`,
		`request.headers[?"a"].optMap(v, v + v).orValue("") == ""`, `[1,2].map(x, [x]) == [[1]]`, `type(request.headers) == map`,
		`string(request.time) + dyn(request.headers).a == ""`,
	} {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		p, err := filter.Compile(expression)
		if err != nil {
			if p != nil {
				t.Fatal("a program beside an error")
			}
			return
		}
		if got, err := p.Matches(request()); got && err != nil {
			t.Fatal("an error matches")
		}
	})
}

func BenchmarkCostly(b *testing.B) {
	p := compile(b, `request.path.matches("(a?){5}b") || request.headers.exists(a, request.headers.exists(b, a + b == ""))`)
	r := request()
	r.Head.SetPath([]byte("/" + strings.Repeat("a", 8000)))
	for b.Loop() {
		_, _ = p.Matches(r)
	}
}
