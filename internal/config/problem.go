package config

import (
	"fmt"
	"strings"
)

// Severity says what a Problem does: an error keeps a configuration from
// being used, a warning and a note are only told.
type Severity int

// The severities, gravest first.
const (
	Error   Severity = iota // the configuration is not used
	Warning                 // used, but it may not do what its author expects
	Note                    // something was skipped
)

func (s Severity) String() string { return [...]string{"error", "warning", "note"}[s] }

// Position is a place in the user's input. Line and Column count from 1; 0 is
// unknown.
type Position struct {
	File         string
	Line, Column int
}

func (p Position) String() string {
	switch {
	case p.File == "":
		return "-"
	case p.Line == 0:
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// moved is the same place when its text stands in the file, lines further down.
func (p Position) moved(file string, lines int) Position {
	if p.File = file; p.Line > 0 {
		p.Line += lines
	}
	return p
}

// Problem is something wrong in what the user wrote, as data: where, in which
// object and field, what, and what to do.
type Problem struct {
	Severity Severity
	Position Position
	Object   string // "VirtualService default/httpbin"; empty when it is about a whole file
	Field    string // "spec.http[0].mirror.host"; empty when it is about the whole object
	Message  string // what is wrong
	Hint     string // what to do; may be empty
}

// String is "file:line: severity: object: field: message; hint".
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s: ", p.Position, p.Severity)
	if p.Object != "" {
		b.WriteString(p.Object + ": ")
	}
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// HasErrors reports whether one of the problems is an error.
func HasErrors(ps []Problem) bool {
	for _, p := range ps {
		if p.Severity == Error {
			return true
		}
	}
	return false
}
