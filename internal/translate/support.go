package translate

import (
	_ "embed" // for the table
	"fmt"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

//go:generate go test -run TestSupportDocument -update .

//go:embed support.txt
var supportTable string

// SupportRow says what becomes of one field of the user's objects.
type SupportRow struct {
	Kind  string // "VirtualService"
	Field string // "http[].match[].uri", without "spec."
	// Status is "yes", "partial", "no" or "same": the field holds what Note
	// names, and the rows of that are its own too.
	Status string
	Case   string // the golden case that uses it; may be empty
	Note   string // may be empty
}

// Support is the support matrix, in its order of kinds. A row stands for all
// that its field holds.
func Support() []SupportRow {
	var out []SupportRow
	for _, line := range strings.Split(supportTable, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		cell := append(strings.SplitN(line, "|", 4), "", "", "")
		kind, field, _ := strings.Cut(strings.TrimSpace(cell[0]), " ")
		out = append(out, SupportRow{
			Kind: kind, Field: strings.TrimSpace(field), Status: strings.TrimSpace(cell[1]),
			Case: strings.TrimSpace(cell[2]), Note: strings.TrimSpace(cell[3]),
		})
	}
	return out
}

// A supportNode is a field in the tree of one kind.
type supportNode struct {
	row      *SupportRow // nil: see below
	children map[string]*supportNode
	same     *supportNode // whose children are its own too; may be nil
}

func (n *supportNode) child(name string) *supportNode {
	for ; n != nil; n = n.same {
		if c := n.children[name]; c != nil {
			return c
		}
	}
	return nil
}

func (n *supportNode) make(path string) *supportNode {
	for _, step := range strings.Split(path, ".") {
		step = strings.TrimSuffix(step, "[]")
		next := n.children[step]
		if next == nil {
			next = &supportNode{}
			if n.children == nil {
				n.children = make(map[string]*supportNode)
			}
			n.children[step] = next
		}
		n = next
	}
	return n
}

// supportTree has the rows by kind and by the steps of their paths.
func supportTree() map[string]*supportNode {
	kinds := make(map[string]*supportNode)
	rows := Support()
	for i, row := range rows {
		n := kinds[row.Kind]
		if n == nil {
			n = &supportNode{}
			kinds[row.Kind] = n
		}
		if at := n.make(row.Field); row.Status == "same" {
			at.same = n.make(row.Note)
		} else {
			at.row = &rows[i]
		}
	}
	return kinds
}

// checkSupport warns of every field that is set and has no effect.
func (t *translator) checkSupport() {
	tree := supportTree()
	warnFields(t, tree["VirtualService"], t.set.VirtualServices)
	warnFields(t, tree["DestinationRule"], t.set.DestinationRules)
	warnFields(t, tree["Gateway"], t.set.Gateways)
	warnFields(t, tree["ServiceEntry"], t.set.ServiceEntries)
	warnFields(t, tree["WorkloadEntry"], t.set.WorkloadEntries)
	t.checkValues()
	t.checkMeshLocality()

	var unread []string
	walkFields(t.mesh.ProtoReflect(), tree["MeshConfig"], nil, func(path []string, row *SupportRow) {
		field := fieldPath(path)
		switch {
		case row == nil:
			unread = append(unread, field)
		case row.Status == "no":
			t.report(config.Problem{Severity: config.Warning, Object: "MeshConfig", Field: field, Message: noEffect(row)})
		}
	})
	if len(unread) > 0 {
		slices.Sort(unread)
		t.report(config.Problem{
			Severity: config.Note, Object: "MeshConfig", Message: "not read by Sundog: " + strings.Join(unread, ", "),
		})
	}
}

func warnFields[T proto.Message](t *translator, tree *supportNode, objects []*config.Object[T]) {
	for _, o := range objects {
		told := len(t.problems)
		if t.before.supported[o.Spec] {
			t.made.supported[o.Spec] = true
			continue
		}
		walkFields(o.Spec.ProtoReflect(), tree, []string{"spec"}, func(path []string, row *SupportRow) {
			if row != nil && row.Status == "no" {
				t.report(o.Problem(config.Warning, fieldPath(path), noEffect(row), ""))
			}
		})
		if len(t.problems) == told {
			t.made.supported[o.Spec] = true
		}
	}
}

func noEffect(row *SupportRow) string {
	message := "is understood but not done yet: it has no effect"
	if row.Note != "" {
		message += " (" + row.Note + ")"
	}
	return message
}

// walkFields calls visit for each field of the message that is set and has a
// row, and with a nil row for each that has none and leads to none. A path's
// steps are names, and indexes in brackets.
func walkFields(m protoreflect.Message, tree *supportNode, path []string, visit func([]string, *SupportRow)) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		node, at := tree.child(fd.JSONName()), append(path, fd.JSONName())
		switch {
		case node == nil:
			visit(at, nil)
		case node.row != nil || fd.Message() == nil || fd.IsMap():
			visit(at, node.row)
		case fd.IsList():
			list := m.Get(fd).List()
			for j := range list.Len() {
				walkFields(list.Get(j).Message(), node, append(at, fmt.Sprintf("[%d]", j)), visit)
			}
		default:
			walkFields(m.Get(fd).Message(), node, at, visit)
		}
	}
}

func fieldPath(path []string) string {
	return strings.ReplaceAll(strings.Join(path, "."), ".[", "[")
}
