package compare

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// patternStep is one step of a path in a rule.
type patternStep struct {
	kind patternKind
	name string
}

type patternKind uint8

const (
	stepName  patternKind = iota // this name
	stepAny                      // *, any name
	stepIndex                    // [], any index
	stepDeep                     // **, any steps
)

// pattern is a compiled path with what it says.
type pattern struct {
	steps  []patternStep
	ignore bool
	rule   *Rule // nil with ignore
	key    []string
}

// parsePattern reads a path like body.items[].*.name or body["a.b"].
func parsePattern(text string) ([]patternStep, error) {
	steps, err := parseSteps(text)
	if err != nil {
		return nil, err
	}
	switch first := steps[0]; {
	case first.kind == stepDeep || first.kind == stepAny:
	case first.kind == stepName && (first.name == "body" || first.name == "status"):
	case first.kind == stepName && (first.name == "header" || first.name == "trailer"):
		for i := range steps {
			if steps[i].kind == stepName && i < 2 {
				steps[i].name = strings.ToLower(steps[i].name)
			}
		}
	default:
		return nil, errors.New("a path begins with status, header., trailer., body or **")
	}
	return steps, nil
}

func parseKey(text string) ([]string, error) {
	steps, err := parseSteps(text)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", text, err)
	}
	names := make([]string, 0, len(steps))
	for _, s := range steps {
		if s.kind != stepName {
			return nil, fmt.Errorf("key %q: a key has only names in it, as meta.id", text)
		}
		names = append(names, s.name)
	}
	return names, nil
}

func parseSteps(text string) ([]patternStep, error) {
	var steps []patternStep
	rest := text
	for rest != "" {
		var s patternStep
		var err error
		switch {
		case strings.HasPrefix(rest, "[]"):
			s, rest = patternStep{kind: stepIndex}, rest[2:]
		case rest[0] == '[':
			s, rest, err = parseQuoted(rest)
		default:
			s, rest, err = parseName(rest)
		}
		if err != nil {
			return nil, err
		}
		steps = append(steps, s)
		if strings.HasPrefix(rest, ".") {
			rest = rest[1:]
			if rest == "" || rest[0] == '.' || rest[0] == '[' {
				return nil, errors.New("a name is missing after a dot")
			}
		} else if rest != "" && rest[0] != '[' {
			return nil, fmt.Errorf("expected a dot or [] before %q", rest)
		}
	}
	if len(steps) == 0 {
		return nil, errors.New("the path is empty")
	}
	if len(steps) > 64 {
		return nil, errors.New("the path has more than 64 steps")
	}
	return steps, nil
}

// parseQuoted reads ["name"].
func parseQuoted(text string) (patternStep, string, error) {
	quoted, err := strconv.QuotedPrefix(text[1:])
	if err != nil || !strings.HasPrefix(text[1+len(quoted):], "]") {
		return patternStep{}, "", errors.New(`[ is followed by ] for any index, or by a quoted name, as ["a.b"]`)
	}
	name, err := strconv.Unquote(quoted)
	if err != nil {
		return patternStep{}, "", fmt.Errorf("name %s: %w", quoted, err)
	}
	return patternStep{kind: stepName, name: name}, text[len(quoted)+2:], nil
}

func parseName(text string) (patternStep, string, error) {
	end := strings.IndexAny(text, ".[")
	if end < 0 {
		end = len(text)
	}
	switch name := text[:end]; {
	case name == "":
		return patternStep{}, "", errors.New("a name is missing before a dot")
	case name == "*":
		return patternStep{kind: stepAny}, text[end:], nil
	case name == "**":
		return patternStep{kind: stepDeep}, text[end:], nil
	case strings.Contains(name, "*"):
		return patternStep{}, "", fmt.Errorf("name %q: * stands for a whole name, ** for any path", name)
	default:
		return patternStep{kind: stepName, name: name}, text[end:], nil
	}
}

// plain reports whether a name needs no quotes in a path.
func plain[T string | []byte](name T) bool {
	if len(name) == 0 || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '_', c == '-', c == '@', c == '$', c == '#', c == ':', c == '/':
		default:
			return false
		}
	}
	return true
}

// maxName is how much of a name is written in paths.
const maxName = 128

// appendName writes a name as a step of a path.
func appendName[T string | []byte](dst []byte, name T) []byte {
	if plain(name) {
		if len(dst) > 0 {
			dst = append(dst, '.')
		}
		return append(dst, name...)
	}
	if len(name) > maxName {
		name = name[:maxName]
	}
	dst = append(dst, '[')
	dst = strconv.AppendQuote(dst, string(name))
	return append(dst, ']')
}
