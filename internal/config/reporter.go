package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
)

// reporter collects the Problems of one object.
type reporter struct {
	report func(Problem)
	object string
	source *Source
	errors []string // fields that have an error of their shape
}

// faults reports what strict.Check found.
func (r *reporter) faults(faults []strict.Fault) {
	for _, f := range faults {
		p := problemOf(r.source.File, f)
		p.Object = r.object
		if p.Severity == Error {
			r.errors = append(r.errors, f.Path)
		}
		r.report(p)
	}
}

func problemOf(file string, f strict.Fault) Problem {
	p := Problem{Severity: Error, Position: position(file, f.Place), Field: f.Path, Message: f.Message, Hint: f.Hint}
	if f.Warning {
		p.Severity = Warning
	}
	return p
}

func (r *reporter) add(s Severity, field, hint, format string, args ...any) {
	if field != "" && slices.Contains(r.errors, field) {
		return // one cause, one Problem
	}
	r.report(Problem{
		Severity: s, Position: r.source.At(field), Object: r.object, Field: field,
		Message: fmt.Sprintf(format, args...), Hint: hint,
	})
}

func (r *reporter) errorf(field, hint, format string, args ...any) {
	r.add(Error, field, hint, format, args...)
}

func (r *reporter) warnf(field, hint, format string, args ...any) {
	r.add(Warning, field, hint, format, args...)
}

// missing reports something that should be in the object at path. It is quiet
// if something in there was already refused, which is then the likely cause.
func (r *reporter) missing(path, hint, format string, args ...any) {
	if !r.broken(path) {
		r.add(Error, path, hint, format, args...)
	}
}

// broken reports whether strict.Check refused something at or below the path.
func (r *reporter) broken(path string) bool {
	return slices.ContainsFunc(r.errors, func(e string) bool {
		rest, ok := strings.CutPrefix(e, path)
		return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}
