package filter

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
)

const (
	maxExpression = 4096   // bytes of an expression
	maxCost       = 10_000 // CEL's units, of one evaluation; a comparison has about 3
)

// Program is a compiled expression. It is safe for concurrent use. A nil
// Program matches every request.
type Program struct {
	limited cel.Program // counts its cost, which takes as long again as the rest
	free    cel.Program // nil: no bound on the cost is known beforehand
}

// attribute is a name that expressions know.
type attribute struct {
	name string
	typ  *cel.Type
}

func attributes() []attribute {
	return []attribute{
		{"request.method", cel.StringType},
		{"request.path", cel.StringType},
		{"request.url_path", cel.StringType},
		{"request.query", cel.StringType},
		{"request.host", cel.StringType},
		{"request.scheme", cel.StringType},
		{"request.protocol", cel.StringType},
		{"request.headers", cel.MapType(cel.StringType, cel.StringType)},
		{"request.referer", cel.StringType},
		{"request.useragent", cel.StringType},
		{"request.id", cel.StringType},
		{"request.size", cel.IntType},
		{"request.time", cel.TimestampType},
		{"source.address", cel.StringType},
		{"source.port", cel.IntType},
		{"destination.address", cel.StringType},
		{"destination.port", cel.IntType},
	}
}

// Compile checks an expression and compiles it; an empty one gives nil. Its
// errors name the line and column, what is wrong, and what is known.
func Compile(expression string) (*Program, error) {
	if strings.TrimSpace(expression) == "" {
		return nil, nil //nolint:nilnil // nil is a Program that matches all
	}
	if len(expression) > maxExpression {
		return nil, fmt.Errorf("the expression has %d bytes; it may have %d", len(expression), maxExpression)
	}
	options := []cel.EnvOption{cel.OptionalTypes()}
	for _, a := range attributes() {
		options = append(options, cel.Variable(a.name, a.typ))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("the environment of expressions: %w", err)
	}
	checked, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, explain(expression, issues)
	}
	if t := checked.OutputType(); !t.IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("the expression gives a value of type %s; it has to be true or false, as that of %s == \"a\"", t, strings.TrimSpace(shorten(expression)))
	}
	if err := checkRegexes(checked); err != nil {
		return nil, err
	}
	p := &Program{}
	p.limited, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.OptimizeRegex(boundedRegexes()...), cel.CostLimit(maxCost))
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be evaluated: %w", err)
	}
	estimate, err := env.EstimateCost(checked, sizes{})
	switch {
	case err != nil: // counted when it is evaluated
	case estimate.Min > maxCost:
		return nil, fmt.Errorf("the expression costs at least %d units for any request, and %d are allowed, so it would leave out all of them; a comparison costs about 3", estimate.Min, maxCost)
	case estimate.Max <= maxCost:
		if p.free, err = env.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.OptimizeRegex(boundedRegexes()...)); err != nil {
			return nil, fmt.Errorf("the expression cannot be evaluated: %w", err)
		}
	}
	return p, nil
}

// What the estimate of a cost takes for granted of a request. A head that is
// larger has its cost counted.
const (
	maxHead   = 64 << 10 // bytes
	maxFields = 1000
)

// sizes tells CEL how large values may be.
type sizes struct{}

// EstimateSize is part of checker.CostEstimator.
func (sizes) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	switch element.Type().Kind() {
	case types.StringKind:
		return &checker.SizeEstimate{Max: maxHead}
	case types.MapKind:
		return &checker.SizeEstimate{Max: maxFields + 4} // and what is no field line
	}
	return nil
}

// EstimateCallCost is part of checker.CostEstimator.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}

// explain makes one error of all of CEL's.
func explain(expression string, issues *cel.Issues) error {
	var all []error
	unknown := false
	for _, e := range issues.Errors() {
		message := strings.ReplaceAll(e.Message, " (in container '')", "")
		if name := nameAt(expression, e.Location.Line(), e.Location.Column()); name != "" && strings.Contains(message, "undeclared reference") {
			message = name + " is not known"
			unknown = true
		}
		all = append(all, fmt.Errorf("line %d, column %d: %s", e.Location.Line(), e.Location.Column()+1, message))
	}
	if unknown {
		var names []string
		for _, a := range attributes() {
			names = append(names, a.name)
		}
		all = append(all, fmt.Errorf("known are %s, and the standard functions of CEL", strings.Join(names, ", ")))
	}
	return errors.Join(all...)
}

// nameAt is the dotted name at a place: of request.verb CEL names only the
// first part. line counts from 1, column from 0, in characters.
func nameAt(expression string, line, column int) string {
	lines := strings.Split(expression, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	rest := []rune(lines[line-1])
	rest = rest[min(max(column, 0), len(rest)):]
	n := 0
	for n < len(rest) && (rest[n] == '.' || rest[n] == '_' || unicode.IsLetter(rest[n]) || unicode.IsDigit(rest[n])) {
		n++
	}
	return string(rest[:n])
}

// Matches evaluates the expression over a request. An error says why it has no
// value (a header that is not there, a cost beyond the limit); the request
// then does not match. It blocks on nothing, but it allocates.
func (p *Program) Matches(r *Request) (bool, error) {
	if p == nil {
		return true, nil
	}
	program := p.limited
	if p.free != nil && r.Head.Size() <= maxHead && r.Head.Len() <= maxFields {
		program = p.free
	}
	value, _, err := program.Eval(activation{r: r})
	if err != nil {
		return false, fmt.Errorf("the expression has no value: %w", err)
	}
	return value == types.True, nil
}
