package config

import (
	"encoding/json"
	"time"

	"github.com/sundog-mesh/sundog/internal/config/strict"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	meshconfig "istio.io/api/mesh/v1alpha1"
)

// defaultMesh is Istio's default mesh configuration as far as Sundog looks at
// it. OutboundTrafficPolicy and DefaultHttpRetryPolicy stay nil, so that
// translate can tell what the user chose.
func defaultMesh() *meshconfig.MeshConfig {
	return &meshconfig.MeshConfig{
		ConnectTimeout: durationpb.New(10 * time.Second),
		RootNamespace:  "istio-system",
		TrustDomain:    "cluster.local",
	}
}

// mesh reads the mesh configuration: bare, or as the ConfigMap "istio" has it.
func (p *parser) mesh(f *File) {
	p.set.Mesh = defaultMesh()
	if f == nil {
		return
	}
	roots, faults := strict.Documents(f.Data, nil)
	for _, fault := range faults {
		p.report(problemOf(f.Name, fault))
	}
	found := 0
	for _, n := range roots {
		root, object := document{n, f.Name}, "MeshConfig"
		kind, _ := root.Get("kind").Text()
		if kind != "" && kind != "ConfigMap" {
			continue
		}
		if found++; found > 1 {
			p.report(Problem{Severity: Error, Position: root.at(""), Object: object, Message: "the file has a second mesh configuration", Hint: "keep one"})
			continue
		}
		if kind != "" {
			inner, ok := p.meshConfigMap(root)
			if !ok {
				continue
			}
			root, object = inner, "ConfigMap istio (data.mesh)"
		}
		p.meshConfig(root, object)
	}
	if found == 0 && len(roots) > 0 {
		p.report(Problem{
			Severity: Error, Position: Position{File: f.Name}, Message: "the file has no mesh configuration",
			Hint: "it takes Istio's MeshConfig, bare or as data.mesh of the ConfigMap istio",
		})
	}
}

// meshConfigMap finds data.mesh and parses the text in it. Lines of a block
// scalar keep their places in the file.
func (p *parser) meshConfigMap(root document) (document, bool) {
	name, _ := root.Get("metadata").Get("name").Text()
	object := "ConfigMap " + name
	mesh := root.Get("data").Get("mesh")
	fail := func(message, hint string) (document, bool) {
		p.report(Problem{Severity: Error, Position: root.at("data.mesh"), Object: object, Field: "data.mesh", Message: message, Hint: hint})
		return document{}, false
	}
	if mesh == nil {
		return fail("is missing", "Istio keeps its MeshConfig there, as text")
	}
	text, ok := mesh.Text()
	if !ok {
		return fail("must be a string, not "+mesh.Describe(), `write "mesh: |-" and indent the lines below`)
	}
	roots, faults := strict.Documents([]byte(text), func(line, _ int) strict.Place {
		if mesh.Literal {
			return strict.Place{Line: mesh.Start.Line + line, Column: 1}
		}
		return mesh.Start
	})
	for _, fault := range faults {
		q := problemOf(root.file, fault)
		q.Object, q.Field = object, "data.mesh"
		p.report(q)
	}
	if len(roots) == 0 {
		return document{}, false
	}
	return document{roots[0], root.file}, true
}

// meshConfig puts the user's mesh configuration over the defaults.
func (p *parser) meshConfig(root document, object string) {
	r := &reporter{report: p.report, object: object, source: &Source{Position: root.at(""), places: root.Places()}}
	var m meshconfig.MeshConfig
	v, faults := strict.Check(root.Node, p.reader.shapes.Message(m.ProtoReflect().Descriptor()), strict.Options{QuotedNumbers: true})
	r.faults(faults)
	if v == nil {
		return
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(data, &m)
	}
	if err != nil {
		r.errorf("", "", "cannot be read: %v", err)
		return
	}
	checkMesh(r, &m)
	if m.ConnectTimeout != nil {
		p.set.Mesh.ConnectTimeout = nil // a duration is replaced, not merged field by field
	}
	proto.Merge(p.set.Mesh, &m)
}

// checkMesh checks what Sundog uses of a mesh configuration.
func checkMesh(r *reporter, m *meshconfig.MeshConfig) {
	checkDuration(r, "connectTimeout", m.ConnectTimeout, "")
	checkLocalityLb(r, "localityLbSetting", m.LocalityLbSetting)
	if m.DefaultHttpRetryPolicy != nil {
		checkRetries(r, "defaultHttpRetryPolicy", m.DefaultHttpRetryPolicy)
	}
}
