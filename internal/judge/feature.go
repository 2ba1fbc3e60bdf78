package judge

import (
	"cmp"
	"math"
	"net/url"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/report"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// features counts the requests of an endpoint by what may tell where a
// difference is.
type features map[string]uint64

// Bounds of an endpoint's features: of all, and of those that are values.
const (
	mostFeatures = 96
	mostValues   = 48
	perRequest   = 24
)

// count counts the request's features, and returns those that found room.
func (f *features) count(request []string) []string {
	if *f == nil {
		*f = features{}
	}
	kept := request[:0]
	for _, name := range request {
		if _, ok := (*f)[name]; !ok {
			most := mostFeatures
			if !strings.HasSuffix(name, isSet) {
				most = mostValues
			}
			if len(*f) >= most {
				continue
			}
		}
		(*f)[name]++
		kept = append(kept, name)
	}
	return kept
}

func (f *features) merge(o features) {
	if *f == nil {
		*f = features{}
	}
	for _, name := range sortedKeys(o) {
		if _, ok := (*f)[name]; ok || len(*f) < mostFeatures {
			(*f)[name] += o[name]
		}
	}
}

const isSet = " is set"

// featuresOf appends the features of a request, whose values are redacted already.
func featuresOf(dst []string, h *traffic.Head, template string) []string {
	path, query, _ := strings.Cut(string(h.Path()), "?")
	dst = pathFeatures(dst, template, path)
	for query != "" && len(dst) < perRequest/2 {
		var one string
		one, query, _ = strings.Cut(query, "&")
		dst = queryFeature(dst, one)
	}
	for i := range h.Len() {
		if len(dst) >= perRequest {
			break
		}
		name, value := h.Field(i)
		dst = headerFeature(dst, string(name), value)
	}
	return dst
}

func pathFeatures(dst []string, template, path string) []string {
	for template != "" && path != "" {
		var name, value string
		name, template, _ = strings.Cut(strings.TrimPrefix(template, "/"), "/")
		value, path, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
		if strings.HasPrefix(name, "{") && strings.HasSuffix(name, "}") && value != "" && len(dst) < 4 {
			dst = append(dst, "path "+name+" looks like "+kindOf(value))
		}
	}
	return dst
}

// kindOf names what a part of a path or query looks like.
func kindOf(value string) string {
	v := compare.Value{Type: compare.String, Text: value}
	kind, _, _ := strings.Cut(compare.Classify(v).String(), " ")
	return kind
}

func queryFeature(dst []string, one string) []string {
	name, value, _ := strings.Cut(one, "=")
	if n, err := url.QueryUnescape(name); err == nil {
		name = n
	}
	if name == "" || len(name) > 32 {
		return dst
	}
	name = clean(name)
	dst = append(dst, `query "`+name+`"`+isSet)
	if len(value) == 0 || len(value) > 24 {
		return dst
	}
	if kind := kindOf(value); kind == "word" || kind == "bool" || kind == "integer" && len(value) <= 3 {
		dst = append(dst, "query "+name+"="+value)
	}
	return dst
}

func headerFeature(dst []string, name string, value []byte) []string {
	switch name {
	case "accept", "accept-language", "content-type":
		short, _, _ := strings.Cut(string(value), ";")
		short, _, _ = strings.Cut(short, ",")
		if len(short) <= 48 {
			return append(dst, "header "+name+": "+clean(short))
		}
	case "authorization", "cookie", "range", "if-none-match", "if-modified-since", "accept-encoding", "origin", "x-requested-with":
		return append(dst, "header "+name+isSet)
	case "user-agent":
		return append(dst, "user agent "+family(string(value)))
	}
	return dst
}

// family is the kind of program that a user agent names.
func family(agent string) string {
	if strings.HasPrefix(agent, "Mozilla/") {
		for _, f := range [...][2]string{{"Edg", "Edge"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
			if strings.Contains(agent, f[0]) {
				return f[1]
			}
		}
		return "another browser"
	}
	product, _, _ := strings.Cut(agent, "/")
	product, _, _ = strings.Cut(product, " ")
	if product == "" || len(product) > 32 {
		return "without a name"
	}
	return clean(product)
}

// predictorsTold is how many predictors a difference has at most.
const predictorsTold = 5

// predictors are the features that clearly tell where the difference is: the
// rates with and without differ by four standard errors and by a factor of two.
func predictors(all features, exchanges uint64, with map[string]uint64, different uint64) []report.Predictor {
	list := []report.Predictor{}
	for _, name := range sortedKeys(with) {
		n, d := all[name], with[name]
		if n < d || n > exchanges || d > different || n < 10 || exchanges-n < 10 || different-d > exchanges-n {
			continue
		}
		p := predictor(name, float64(n), float64(d), float64(exchanges-n), float64(different-d))
		if p != nil {
			list = append(list, *p)
		}
	}
	for _, name := range sortedKeys(all) { // what is never there when it differs
		if n := all[name]; with[name] == 0 && n >= 10 && n <= exchanges-min(exchanges, 10) && different <= exchanges-n {
			if p := predictor(name, float64(n), 0, float64(exchanges-n), float64(different)); p != nil {
				list = append(list, *p)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b report.Predictor) int {
		return cmp.Compare(math.Abs(b.With-b.Without), math.Abs(a.With-a.Without))
	})
	return list[:min(len(list), predictorsTold)]
}

func predictor(name string, n, d, others, rest float64) *report.Predictor {
	p := report.Predictor{Feature: name, With: d / n, Without: rest / others}
	mean := (d + rest) / (n + others)
	deviation := math.Sqrt(mean * (1 - mean) * (1/n + 1/others))
	low, high := min(p.With, p.Without), max(p.With, p.Without)
	if d+rest < 5 || high-low < 4*deviation || high < 2*low {
		return nil
	}
	return &p
}
