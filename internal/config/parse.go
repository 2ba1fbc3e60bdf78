package config

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Options say how to read a configuration.
type Options struct {
	// Namespace is for objects that name none; empty: "default".
	Namespace string
	// Endpoints are the values of --endpoint: "httpbin/v1=127.0.0.1:28001",
	// "httpbin:8000=127.0.0.1:28001", "httpbin.other.svc.cluster.local=…".
	Endpoints []string
	// MeshConfig is the path of the mesh configuration file that Load reads;
	// empty: Istio's defaults. Parse is given the file instead.
	MeshConfig string
}

// Load reads the files that paths name, as Read does, and the mesh
// configuration file, and parses them. It also reads the certificate files
// that the objects name; those that cannot be read are for translate to judge,
// which knows whether this proxy needs them.
func Load(paths []string, stdin io.Reader, opt Options) (*Set, []Problem) {
	files, problems := Read(paths, stdin)
	var mesh *File
	if opt.MeshConfig != "" {
		f, err := readFile(opt.MeshConfig, stdin)
		if err != nil {
			problems = append(problems, unreadable(opt.MeshConfig, err))
		} else {
			mesh = &f
		}
	}
	set, more := Parse(files, mesh, opt)
	set.readCredentials()
	return set, append(problems, more...)
}

// Parse makes a Set of files and of the mesh configuration, which may be nil.
// It is pure: equal input gives an equal Set and equal Problems, which are in
// the order of the files and of their lines. With errors the Set holds what
// could be understood; it is never nil.
func Parse(files []File, mesh *File, opt Options) (*Set, []Problem) {
	p := &parser{
		set: &Set{}, namespace: cmp.Or(opt.Namespace, metav1.NamespaceDefault),
		shapes: strict.NewShapes(), kinds: kinds(), roots: map[string]*strict.Shape{}, seen: map[string]Position{},
	}
	if len(validation.IsDNS1123Label(p.namespace)) > 0 {
		p.report(Problem{
			Severity: Error, Position: Position{File: "--namespace"},
			Message: fmt.Sprintf("%q is not a valid namespace; it takes %s", strict.Shorten(p.namespace), namespaceRule),
		})
		p.namespace = metav1.NamespaceDefault
	}
	for _, f := range files {
		p.file(f)
	}
	p.checkDelegates()
	p.mesh(mesh)
	for _, value := range opt.Endpoints {
		p.endpoint(value)
	}
	p.sort(files, mesh)
	return p.set, p.problems
}

// parser holds what is known so far while files are parsed.
type parser struct {
	set       *Set
	problems  []Problem
	namespace string
	shapes    *strict.Shapes
	kinds     []kind
	roots     map[string]*strict.Shape // Shapes of whole objects by kind
	seen      map[string]Position      // objects by kind, namespace and name
	skipped   []skippedKind            // of the file at hand
}

// skippedKind counts the objects of a kind that Sundog does not read.
type skippedKind struct {
	kind  string
	count int
	first Position
	hint  string
}

func (p *parser) report(problem Problem) { p.problems = append(p.problems, problem) }

func (p *parser) file(f File) {
	roots, faults := strict.Documents(f.Data, nil)
	for _, fault := range faults {
		p.report(problemOf(f.Name, fault))
	}
	p.skipped = nil
	for _, root := range roots {
		p.object(document{root, f.Name}, "", "")
	}
	for _, s := range p.skipped {
		objects := "1 object"
		if s.count > 1 {
			objects = fmt.Sprintf("%d objects", s.count)
		}
		p.report(Problem{Severity: Note, Position: s.first, Message: fmt.Sprintf("kind %s (%s) is not read by Sundog; skipped", s.kind, objects), Hint: s.hint})
	}
}

// document is a value in a file.
type document struct {
	*strict.Node
	file string
}

func (d document) at(path string) Position { return position(d.file, d.At(path)) }

// object reads one object or a list of them. The kind and version of a typed
// list hold for items that name none.
func (p *parser) object(root document, listKind, listVersion string) {
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
func (p *parser) headerField(root document, field, otherwise, example string) (string, bool) {
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
func (p *parser) findKind(root document, name, apiVersion string) *kind {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	i := slices.IndexFunc(p.kinds, func(k kind) bool { return k.name == name })
	if i < 0 || p.kinds[i].group != group && !meant(p.kinds[i].group, group) {
		p.skip(root, name, apiVersion, i >= 0)
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

func (p *parser) skip(root document, name, apiVersion string, otherGroup bool) {
	if otherGroup {
		name += " of " + apiVersion
	}
	for i := range p.skipped {
		if p.skipped[i].kind == name {
			p.skipped[i].count++
			return
		}
	}
	hint := ""
	if n, _ := root.Get("metadata").Get("name").Text(); name == "ConfigMap" && n == "istio" {
		hint = "give the mesh configuration with --mesh-config"
	}
	p.skipped = append(p.skipped, skippedKind{name, 1, root.at(""), hint})
}

// read checks one object of a known kind against its shape, then by its
// meaning.
func (p *parser) read(k *kind, root document, name, version string) {
	h := header{Kind: name, APIVersion: version, r: &reporter{parser: p, object: name, source: &Source{Position: root.at(""), root: root.Node}}}
	if p.twice(&h, root) {
		return
	}
	s := p.roots[k.name]
	if s == nil {
		s = k.shape(p.shapes)
		p.roots[k.name] = s
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
	if err := k.read(p, h, clean); err != nil {
		h.r.errorf("", "", "cannot be read: %v", err)
	}
}

// twice finds namespace and name, and refuses an object that came before.
func (p *parser) twice(h *header, root document) bool {
	meta := root.Get("metadata")
	h.meta.Name, _ = meta.Get("name").Text()
	namespace, _ := meta.Get("namespace").Text()
	h.meta.Namespace = cmp.Or(namespace, p.namespace)
	if h.meta.Name == "" {
		return false
	}
	h.r.object = h.Kind + " " + h.meta.Namespace + "/" + h.meta.Name
	if first, ok := p.seen[h.r.object]; ok {
		h.r.errorf("", "keep one of the two, or give one another name or namespace", "the same object twice: it is also at %s", first)
		return true
	}
	p.seen[h.r.object] = root.at("")
	return false
}

// nameless reports an object without a name.
func (p *parser) nameless(h header, root document) {
	hint := "give it a name"
	if root.Get("metadata").Get("generateName") != nil {
		hint = "generateName works only in a cluster: give it a fixed name"
	}
	h.r.errorf("metadata.name", hint, "is missing")
}

// clean checks the object against its Shape and returns what fits. A status is
// the cluster's own writing: what does not fit there is passed over.
func (p *parser) clean(h header, root document, s *strict.Shape) map[string]any {
	v, faults := strict.Check(root.Without("status"), s, strict.Options{})
	if h.Kind == "Secret" {
		hideValues(faults)
	}
	h.r.faults(faults)
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

// sort puts the objects in the order of their names, and the Problems in that
// of the input.
func (p *parser) sort(files []File, mesh *File) {
	sortObjects(p.set.VirtualServices)
	sortObjects(p.set.DestinationRules)
	sortObjects(p.set.Gateways)
	sortObjects(p.set.ServiceEntries)
	sortObjects(p.set.WorkloadEntries)
	sortObjects(p.set.Services)
	sortObjects(p.set.Deployments)
	sortObjects(p.set.EndpointSlices)
	sortObjects(p.set.Endpoints)
	sortObjects(p.set.Pods)
	sortObjects(p.set.Secrets)
	order := map[string]int{}
	for i, f := range files {
		if _, ok := order[f.Name]; !ok {
			order[f.Name] = i - len(files)
		}
	}
	if mesh != nil && order[mesh.Name] == 0 {
		order[mesh.Name] = 0 // after the files, before the flags
	}
	rank := func(q Problem) int {
		if i, ok := order[q.Position.File]; ok {
			return i
		}
		return 1
	}
	slices.SortStableFunc(p.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Position.Line, b.Position.Line), cmp.Compare(a.Position.Column, b.Position.Column))
	})
}

func sortObjects[T any](l []*Object[T]) {
	slices.SortStableFunc(l, func(a, b *Object[T]) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}
