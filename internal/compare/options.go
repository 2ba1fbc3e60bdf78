package compare

import (
	"fmt"
	"math"
	"strings"
)

// Options say how to compare. The zero value compares everything but what
// varies by its nature: hop-by-hop headers, dates, request ids and trace headers.
type Options struct {
	// Ignore are paths, in the syntax of Difference.Field, that are not
	// compared, nor what is below them: "header.server", "body.items[].etag".
	// "*" stands for any name, "[]" for any index, "**" for any path, also none.
	Ignore []string
	// Fields are rules by path. Where several say the same thing, the last counts.
	Fields []Rule
	// Types finds protobuf descriptors; nil: messages are compared by their
	// field numbers, "body[].3.1".
	Types TypeResolver
	// MaxBody is the longest body, decompressed, that is looked into; 0: 4 MiB.
	MaxBody int
	// MaxDepth is how deep values may be nested; 0: 128.
	MaxDepth int
	// MaxNodes is how many values a body may have; 0: 262,144. Each costs 32 bytes.
	MaxNodes int
	// MaxDifferences is how many differences are kept; 0: 100.
	MaxDifferences int
}

// Rule says what is known of the fields of a path.
type Rule struct {
	Path string // as in Options.Ignore
	// Type says that the value may vary, but has to keep this format:
	// FormatUUID, FormatTimestamp, FormatCounter, FormatToken, FormatFloat, or
	// FormatAny for any value of the same JSON type. 0: it may not vary.
	Type Format
	// Absolute and Relative are how far apart numbers may be: by
	// Absolute, or by Relative times the greater of both.
	Absolute float64
	Relative float64
	// Array says which elements of an array are compared with each other.
	Array ArrayMode
	// Key is the path, within an element, of what identifies it, "id" or
	// "meta.uid"; only with ArrayKey.
	Key string
}

// ArrayMode says which elements of two arrays belong together.
type ArrayMode uint8

// The ways to match arrays.
const (
	// ArrayIndex matches elements in their order; where some were inserted or
	// removed, the others still find each other.
	ArrayIndex ArrayMode = iota
	// ArraySet matches equal elements wherever they stand; each as often as it occurs.
	ArraySet
	// ArrayKey matches the elements of the same Rule.Key wherever they stand.
	ArrayKey
)

// Defaults of Options.
const (
	defaultMaxBody        = 4 << 20
	defaultMaxDepth       = 128
	defaultMaxNodes       = 1 << 18
	defaultMaxDifferences = 100
)

// maxBodyLimit keeps offsets within 32 bits.
const maxBodyLimit = 1 << 30

func (o *Options) fill() error {
	for _, l := range []struct {
		name      string
		value     *int
		otherwise int
		limit     int
	}{
		{"MaxBody", &o.MaxBody, defaultMaxBody, maxBodyLimit},
		{"MaxDepth", &o.MaxDepth, defaultMaxDepth, 1000},
		{"MaxNodes", &o.MaxNodes, defaultMaxNodes, 1 << 24},
		{"MaxDifferences", &o.MaxDifferences, defaultMaxDifferences, 1 << 16},
	} {
		if *l.value < 0 || *l.value > l.limit {
			return fmt.Errorf("compare: %s is %d; it must be between 0 (the default, %d) and %d", l.name, *l.value, l.otherwise, l.limit)
		}
		if *l.value == 0 {
			*l.value = l.otherwise
		}
	}
	return nil
}

func (r *Rule) check() error {
	switch {
	case r.Absolute < 0 || math.IsNaN(r.Absolute) || math.IsInf(r.Absolute, 0):
		return fmt.Errorf("absolute tolerance %v: it must be a number that is not negative", r.Absolute)
	case r.Relative < 0 || math.IsNaN(r.Relative) || r.Relative > 1:
		return fmt.Errorf("relative tolerance %v: it must be between 0 and 1 (0.01 is one percent)", r.Relative)
	case r.Array > ArrayKey:
		return fmt.Errorf("array mode %d is unknown", r.Array)
	case r.Array == ArrayKey && r.Key == "":
		return fmt.Errorf("arrays matched by key need a key: the name of the field that identifies an element")
	case r.Array != ArrayKey && r.Key != "":
		return fmt.Errorf("key %q has a meaning only where arrays are matched by key", r.Key)
	case !r.Type.declarable():
		return fmt.Errorf("type %v cannot be declared; use UUID, Timestamp, Counter, Token, Float or Any", r.Type)
	case r.Type == 0 && r.Absolute == 0 && r.Relative == 0 && r.Array == ArrayIndex:
		return fmt.Errorf("the rule says nothing; give it a type, a tolerance or an array mode, or list the path under ignore")
	}
	return nil
}

// compile makes patterns of all paths.
func (o *Options) compile() ([]pattern, error) {
	var all []pattern
	for i, text := range o.Ignore {
		steps, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("ignore %d, %q: %w", i, text, err)
		}
		all = append(all, pattern{steps: steps, ignore: true})
	}
	for i := range o.Fields {
		r := &o.Fields[i]
		path := r.Path
		if r.Array != ArrayIndex && r.Type == 0 && r.Absolute == 0 && r.Relative == 0 {
			path = strings.TrimSuffix(path, "[]") // the array, though its elements were named
		}
		steps, err := parsePattern(path)
		if err == nil {
			err = r.check()
		}
		var key []string
		if err == nil && r.Key != "" {
			key, err = parseKey(r.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("field rule %d, %q: %w", i, r.Path, err)
		}
		all = append(all, pattern{steps: steps, rule: r, key: key})
	}
	return all, nil
}
