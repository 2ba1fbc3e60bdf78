package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// piece is what the text of one document means by itself, at the place where it
// stands. It is immutable.
type piece struct {
	file   string
	line   int       // lines of the file before it
	syntax []Problem // of the text; there is nothing after them
	found  []found   // in the order of the text
	lines  bool      // the words of a Problem name a line of the file
}

// found is an object in a piece, or what stands there instead.
type found struct {
	Position
	name     string // "VirtualService default/httpbin"; empty if it has none
	group    string // that of the kind
	problems []Problem
	object   object // nil: nothing for the Set
	skipped  string // the kind, if Sundog does not read it
	hint     string // for skipped
}

// moved is the piece when its text stands elsewhere.
func (pc *piece) moved(file string, line int) *piece {
	if pc.file == file && pc.line == line {
		return pc
	}
	lines := line - pc.line
	all := func(in []Problem) []Problem {
		out := slices.Clone(in)
		for i := range out {
			out[i].Position = out[i].Position.moved(file, lines)
		}
		return out
	}
	out := &piece{file: file, line: line, syntax: all(pc.syntax), found: slices.Clone(pc.found), lines: pc.lines}
	for i := range out.found {
		f := &out.found[i]
		f.Position, f.problems = f.Position.moved(file, lines), all(f.problems)
		if f.object != nil {
			f.object = f.object.moved(file, lines)
		}
	}
	return out
}

// reader makes pieces of texts.
type reader struct {
	namespace string
	shapes    *strict.Shapes
	kinds     []kind
	roots     map[string]*strict.Shape // Shapes of whole objects by group and kind
}

func newReader(namespace string) *reader {
	return &reader{namespace: namespace, shapes: strict.NewShapes(), kinds: kinds(), roots: map[string]*strict.Shape{}}
}

// piece reads one document.
func (r *reader) piece(file string, text strict.Text) *piece {
	p := &pieceReader{reader: r, piece: &piece{file: file, line: text.Line}}
	roots, fault := text.Parse()
	if fault != nil {
		p.syntax, p.lines = []Problem{problemOf(file, *fault)}, true
	}
	for _, root := range roots {
		p.object(document{root, file}, "", "")
	}
	return p.piece
}

// pieceReader holds the piece that is read.
type pieceReader struct {
	*reader
	*piece
}

// report is a Problem of what is at hand, which is the last thing found.
func (p *pieceReader) report(problem Problem) {
	f := &p.found[len(p.found)-1]
	f.problems = append(f.problems, problem)
}

// document is a value in a file.
type document struct {
	*strict.Node
	file string
}

func (d document) at(path string) Position { return position(d.file, d.At(path)) }

// object reads one object or a list of them. The kind and version of a typed
// list hold for items that name none.
func (p *pieceReader) object(root document, listKind, listVersion string) {
	p.found = append(p.found, found{Position: root.at("")})
	fail := func(message, hint string) {
		p.report(Problem{Severity: Error, Position: root.at(""), Message: message, Hint: hint})
	}
	if !root.IsMapping() {
		fail(fmt.Sprintf("an object must be a mapping with apiVersion, kind and metadata; this is %s", root.Describe()), "")
		return
	}
	version, ok1 := p.headerField(root, "apiVersion", listVersion, "networking.istio.io/v1")
	name, ok2 := p.headerField(root, "kind", listKind, "VirtualService")
	if !ok1 || !ok2 {
		return
	}
	if items := root.Get("items"); items != nil && strings.HasSuffix(name, "List") {
		if items.IsNull() {
			return
		}
		list, ok := items.Items()
		if !ok {
			p.report(Problem{Severity: Error, Position: root.at("items"), Object: name, Field: "items", Message: "must be a list, not " + items.Describe()})
			return
		}
		kind, version := strings.TrimSuffix(name, "List"), version
		if kind == "" {
			version = ""
		}
		for _, item := range list {
			p.object(document{item, root.file}, kind, version)
		}
		return
	}
	if k := p.findKind(root, name, version); k != nil {
		p.read(k, root, name, version)
	}
}

// headerField is the string under apiVersion or kind.
func (p *pieceReader) headerField(root document, field, otherwise, example string) (string, bool) {
	n := root.Get(field)
	if n == nil {
		if otherwise == "" {
			p.report(Problem{
				Severity: Error, Position: root.at(""), Field: field, Message: "is missing",
				Hint: fmt.Sprintf("every object starts with apiVersion and kind, like %q", field+": "+example),
			})
		}
		return otherwise, otherwise != ""
	}
	text, _ := n.Text()
	if text == "" {
		p.report(Problem{Severity: Error, Position: root.at(field), Field: field, Message: "must be a string, not " + n.Describe()})
	}
	return text, text != ""
}

// findKind finds the kind in the table; a kind that is not there is noted, one
// in a version that is not there is an error.
func (p *pieceReader) findKind(root document, name, apiVersion string) *kind {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	i := slices.IndexFunc(p.kinds, func(k kind) bool { return k.name == name && k.group == group })
	if i < 0 { // two groups have a Gateway
		i = slices.IndexFunc(p.kinds, func(k kind) bool { return k.name == name && meant(k.group, group) })
	}
	if i < 0 {
		p.skip(root, name, apiVersion, slices.ContainsFunc(p.kinds, func(k kind) bool { return k.name == name }))
		return nil
	}
	k := &p.kinds[i]
	if k.group == group && slices.Contains(k.versions, version) {
		return k
	}
	var known []string
	for _, v := range k.versions {
		known = append(known, strings.TrimPrefix(k.group+"/"+v, "/"))
	}
	p.report(Problem{
		Severity: Error, Position: root.at("apiVersion"), Object: name, Field: "apiVersion",
		Message: fmt.Sprintf("there is no %s in %s", name, apiVersion),
		Hint:    "write " + strings.Join(known, " or "),
	})
	return nil
}

// meant reports whether a wrong group is a slip and not another project's kind
// of the same name.
func meant(want, group string) bool {
	return !strings.Contains(group, ".") || strict.Distance(group, want) <= 2
}

func (p *pieceReader) skip(root document, name, apiVersion string, otherGroup bool) {
	f := &p.found[len(p.found)-1]
	if f.skipped = name; otherGroup {
		f.skipped += " of " + apiVersion
	}
	if n, _ := root.Get("metadata").Get("name").Text(); name == "ConfigMap" && n == "istio" {
		f.hint = "give the mesh configuration with --mesh-config"
	}
}

// read checks one object of a known kind against its shape, then by its
// meaning.
func (p *pieceReader) read(k *kind, root document, name, version string) {
	h := header{Kind: name, APIVersion: version, r: &reporter{report: p.report, object: name, source: &Source{Position: root.at(""), places: root.Places()}}}
	p.name(&h, root, k)
	s := p.roots[k.group+"/"+k.name]
	if s == nil {
		s = k.shape(p.shapes)
		p.roots[k.group+"/"+k.name] = s
	}
	clean := p.clean(h, root, s)
	if h.meta.Name == "" {
		p.nameless(h, root)
		return
	}
	if data, err := json.Marshal(clean["metadata"]); err == nil {
		namespace := h.meta.Namespace
		if err := json.Unmarshal(data, &h.meta); err != nil {
			h.r.errorf("metadata", "", "cannot be read: %v", err)
		}
		h.meta.Namespace = namespace
	}
	checkMetadata(h.r, &h.meta, k)
	if k.read == nil {
		return
	}
	o, err := k.read(h, clean)
	if err != nil {
		h.r.errorf("", "", "cannot be read: %v", err)
		return
	}
	p.found[len(p.found)-1].object = o
}

// name finds namespace and name.
func (p *pieceReader) name(h *header, root document, k *kind) {
	meta := root.Get("metadata")
	h.meta.Name, _ = meta.Get("name").Text()
	namespace, _ := meta.Get("namespace").Text()
	h.meta.Namespace = cmp.Or(namespace, p.namespace)
	if h.meta.Name != "" {
		h.r.object = h.Kind + " " + h.meta.Namespace + "/" + h.meta.Name
		f := &p.found[len(p.found)-1]
		f.name, f.group = h.r.object, k.group
	}
}

// nameless reports an object without a name.
func (p *pieceReader) nameless(h header, root document) {
	hint := "give it a name"
	if root.Get("metadata").Get("generateName") != nil {
		hint = "generateName works only in a cluster: give it a fixed name"
	}
	h.r.errorf("metadata.name", hint, "is missing")
}

// clean checks the object against its Shape and returns what fits. A status is
// the cluster's own writing: what does not fit there is passed over.
func (p *pieceReader) clean(h header, root document, s *strict.Shape) map[string]any {
	v, faults := strict.Check(root.Without("status"), s, strict.Options{})
	if h.Kind == "Secret" {
		hideValues(faults)
	}
	h.r.faults(faults)
	p.lines = p.lines || slices.ContainsFunc(faults, func(f strict.Fault) bool { return f.Lines })
	clean := v.(map[string]any)
	if status, shape := root.Get("status"), s.Field("status"); status != nil && shape != nil {
		if v, _ := strict.Check(status, shape, strict.Options{}); v != nil {
			clean["status"] = v
		}
	}
	return clean
}

const namespaceRule = `lower-case letters, digits and "-", at most 63`

// checkMetadata checks names and labels as the API server does.
func checkMetadata(r *reporter, m *metav1.ObjectMeta, k *kind) {
	valid := validation.IsDNS1123Subdomain
	rule := `lower-case letters, digits, "-" and ".", at most 253`
	if k.kube && k.name == "Service" {
		valid, rule = validation.IsDNS1123Label, `lower-case letters, digits and "-", at most 63`
	}
	if len(valid(m.Name)) > 0 {
		r.errorf("metadata.name", "", "%q is not a valid name; it takes %s", strict.Shorten(m.Name), rule)
	}
	if len(validation.IsDNS1123Label(m.Namespace)) > 0 {
		r.errorf("metadata.namespace", "", "%q is not a valid namespace; it takes %s", strict.Shorten(m.Namespace), namespaceRule)
	}
	checkLabels(r, "metadata.labels", m.Labels)
}
