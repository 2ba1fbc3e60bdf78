package filter

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// The time of a regular expression is at most that of its instructions for each
// byte of the text. CEL's costs do not know that.
const (
	maxInstructions = 500
	maxSteps        = 100_000 // instructions times bytes, of one call; a millisecond or two
)

// checkRegexes refuses regular expressions that are not there to be checked, or
// that are large, as "((a{100}){9})" is.
func checkRegexes(tree *cel.Ast) error {
	for _, call := range ast.MatchDescendants(ast.NavigateAST(tree.NativeRep()), ast.FunctionMatcher("matches")) {
		args := call.AsCall().Args()
		arg := args[len(args)-1]
		text, ok := "", arg.Kind() == ast.LiteralKind
		if ok {
			text, ok = arg.AsLiteral().Value().(string)
		}
		if !ok {
			return errors.New("the regular expression of matches has to be a literal, as in request.path.matches(\"^/a\")")
		}
		n, err := instructions(text)
		if err != nil {
			return fmt.Errorf("the regular expression %q: %w", shorten(text), err)
		}
		if n > maxInstructions {
			return fmt.Errorf("the regular expression %q is too large: it has %d instructions and may have %d", shorten(text), n, maxInstructions)
		}
	}
	return nil
}

func instructions(regex string) (int, error) {
	parsed, err := syntax.Parse(regex, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

// boundedRegexes have matches fail for a text that is too long.
func boundedRegexes() []*interpreter.RegexOptimization {
	var all []*interpreter.RegexOptimization
	for _, overload := range []string{overloads.Matches, overloads.MatchesString} {
		all = append(all, &interpreter.RegexOptimization{Function: "matches", OverloadID: overload, RegexIndex: 1, Factory: bounded})
	}
	return all
}

func bounded(call interpreter.InterpretableCall, regex string) (interpreter.InterpretableCall, error) {
	compiled, err := regexp.Compile(regex)
	if err != nil {
		return nil, err
	}
	n, err := instructions(regex)
	if err != nil {
		return nil, err
	}
	matches := func(values ...ref.Val) ref.Val {
		text, ok := values[0].Value().(string)
		if !ok {
			return types.NoSuchOverloadErr()
		}
		if len(text)*n > maxSteps {
			return types.NewErr("a text of %d bytes is too long for the regular expression %q", len(text), shorten(regex))
		}
		return types.Bool(compiled.MatchString(text))
	}
	return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), matches), nil
}
