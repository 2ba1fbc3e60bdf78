package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Text is the part of a file that holds one document. It is parsed by itself,
// so that a fault in one document leaves the others readable.
type Text struct {
	Data []byte
	Line int // lines before it
}

// Mapper maps a line and column of a text to the place that is told, for text
// that stands inside another file.
type Mapper func(line, column int) Place

// Documents parses a text into the values of its documents, YAML or JSON, empty
// ones left out. A fault in one leaves the others readable. place may be nil.
func Documents(data []byte, place Mapper) ([]*Node, []Fault) {
	if place == nil {
		place = func(line, column int) Place { return Place{line, column} }
	}
	texts, bad := Split(data)
	if bad != nil {
		bad.Place = place(bad.Line, bad.Column)
		return nil, []Fault{*bad}
	}
	var roots []*Node
	var faults []Fault
	for _, t := range texts {
		r, bad := t.parse(func(line, column int) Place { return place(line+t.Line, column) })
		roots = append(roots, r...)
		if bad != nil {
			faults = append(faults, *bad)
		}
	}
	return roots, faults
}

// Split cuts a text at the lines that start or end a document. What the parts
// hold is for Parse to find out; only what is no text at all is a Fault.
func Split(data []byte) ([]Text, *Fault) {
	if !utf8.Valid(data) {
		line := 1 + bytes.Count(data[:invalidAt(data)], []byte("\n"))
		return nil, &Fault{Place: Place{line, 1}, Message: "this is not UTF-8 text", Hint: "save the file as UTF-8"}
	}
	return split(bytes.TrimPrefix(data, []byte("\ufeff"))), nil
}

// Parse parses a document; nothing but its Data and, for places, its Line
// counts. It is one value, none if it is empty, or more if "..." ends it early.
func (t Text) Parse() ([]*Node, *Fault) {
	return t.parse(func(line, column int) Place { return Place{line + t.Line, column} })
}

func invalidAt(data []byte) int {
	i := 0
	for i < len(data) {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n <= 1 {
			break
		}
		i += n
	}
	return i
}

// split knows that lines that start with "---" or "..." cannot be inside a
// value, YAML 1.2.2 section 9.1.2.
func split(data []byte) []Text {
	if texts := splitJSON(data); texts != nil {
		return texts
	}
	var texts []Text
	start, startLine, at, line := 0, 0, 0, 0
	cut := func(end, endLine int) {
		if !onlyDirectives(data[start:end]) {
			texts = append(texts, Text{data[start:end], startLine})
		}
		start, startLine = end, endLine
	}
	for l := range bytes.Lines(data) {
		switch {
		case isMarker(l, "---") && at > start:
			cut(at, line)
		case isMarker(l, "..."):
			cut(at+len(l), line+1)
		}
		at += len(l)
		line++
	}
	cut(len(data), line)
	return texts
}

func isMarker(line []byte, marker string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(marker))
	return ok && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// onlyDirectives reports whether text holds no document of its own: comments,
// blank lines and lines like "%YAML 1.2".
func onlyDirectives(text []byte) bool {
	for l := range bytes.Lines(text) {
		l = bytes.TrimSpace(l)
		if len(l) > 0 && l[0] != '#' && l[0] != '%' {
			return false
		}
	}
	return true
}

// splitJSON cuts a stream of JSON objects; nil if data is not one.
func splitJSON(data []byte) []Text {
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	var texts []Text
	from, line := 0, 0
	for {
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			return nil
		}
		to := int(dec.InputOffset())
		texts = append(texts, Text{yamlEscapes(data[from:to]), line})
		line += bytes.Count(data[from:to], []byte("\n"))
		from = to
	}
}

// yamlEscapes rewrites what the YAML parser does not know of JSON's escapes:
// surrogate pairs and "\/".
func yamlEscapes(data []byte) []byte {
	if bytes.IndexByte(data, '\\') < 0 {
		return data
	}
	var out []byte
	for i := 0; i < len(data); {
		if data[i] != '\\' || i+1 >= len(data) {
			out = append(out, data[i])
			i++
			continue
		}
		if data[i+1] == '/' {
			out = append(out, '/')
			i += 2
			continue
		}
		if i+12 <= len(data) && data[i+1] == 'u' && data[i+6] == '\\' && data[i+7] == 'u' {
			hi, err1 := strconv.ParseUint(string(data[i+2:i+6]), 16, 32)
			lo, err2 := strconv.ParseUint(string(data[i+8:i+12]), 16, 32)
			if err1 == nil && err2 == nil && hi >= 0xd800 && hi < 0xdc00 && lo >= 0xdc00 && lo < 0xe000 {
				out = fmt.Appendf(out, `\U%08X`, 0x10000+(hi-0xd800)<<10+(lo-0xdc00))
				i += 12
				continue
			}
		}
		out = append(out, data[i], data[i+1])
		i += 2
	}
	return out
}

func (t Text) parse(place Mapper) ([]*Node, *Fault) {
	var roots []*Node
	lines := &lineReader{rest: t.Data}
	dec := yaml.NewDecoder(lines)
	for {
		var y yaml.Node
		err := dec.Decode(&y)
		if errors.Is(err, io.EOF) {
			return roots, nil
		}
		if err != nil {
			p := syntaxFault(err, t.Data, lines.lines, place)
			return roots, &p
		}
		if y.Kind != yaml.DocumentNode || len(y.Content) == 0 {
			continue
		}
		b := &builder{place: place, open: map[*yaml.Node]bool{}}
		n, bad := b.build(y.Content[0], 0)
		if bad != nil {
			return roots, bad
		}
		if !n.IsNull() {
			roots = append(roots, n)
		}
	}
}

var yamlLine = regexp.MustCompile(`^line (\d+): (.*)$`)

// syntaxFault says in plain words what the YAML parser stumbled over.
func syntaxFault(err error, data []byte, read int, place Mapper) Fault {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = m[2]
	}
	line, bad := faultLine(data, read, line)
	p := Fault{Place: place(line, 1), Message: "this is not valid YAML: " + text}
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
	}
	switch {
	case bytes.HasPrefix(bytes.TrimLeft(bad, " "), []byte("\t")):
		p.Message, p.Hint = "this is not valid YAML: a tab in the indentation", "indent with spaces only"
	case has("cannot start any token"):
		p.Hint = "put the value in quotes"
	case has("mapping values are not allowed"):
		p.Hint = "check the indentation, and put a value that contains \": \" in quotes"
	case has("did not find expected key", "expected '-' indicator", "block sequence entries are not allowed"):
		p.Hint = "check the indentation of this line and of those around it"
	case has("could not find expected ':'"):
		p.Hint = "a key needs a colon and a space after it"
	case has("unexpected end of stream", "expected ',' or", "expected node content"):
		p.Hint = "the file may be cut off, or a quote or bracket is not closed"
	case has("unknown anchor"):
		p.Hint = "an anchor (&name) must come before its alias (*name), in the same document"
	}
	return p
}

// lineReader hands out a line at a time, so that the number of lines that the
// parser has asked for bounds where it stumbled.
type lineReader struct {
	rest  []byte
	lines int
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := bytes.IndexByte(r.rest, '\n') + 1
	if n == 0 {
		n = len(r.rest)
	}
	n = copy(p, r.rest[:n])
	if r.rest[n-1] == '\n' || n == len(r.rest) {
		r.lines++
	}
	r.rest = r.rest[n:]
	return n, nil
}

// faultLine finds the line where YAML stops being valid: the one after the
// longest part that parses. The parser itself often names the start of what
// surrounds it. The work is bounded; beyond that the parser's word stands.
func faultLine(data []byte, read, otherwise int) (int, []byte) {
	const mostWork = 1 << 20
	var ends []int // of lines
	for l := range bytes.Lines(data) {
		end := len(l)
		if len(ends) > 0 {
			end += ends[len(ends)-1]
		}
		ends = append(ends, end)
	}
	work := 0
	for n := min(read, len(ends)) - 1; n >= 0 && work < mostWork; n-- {
		end := 0
		if n > 0 {
			end = ends[n-1]
		}
		work += end + 1000
		if parses(data[:end]) {
			return n + 1, data[end:ends[n]]
		}
	}
	return otherwise, nil
}

func parses(data []byte) bool {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var y yaml.Node
		switch err := dec.Decode(&y); {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			return false
		}
	}
}
