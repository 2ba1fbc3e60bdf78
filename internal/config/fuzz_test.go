package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/sundog-mesh/sundog/internal/config"
	"google.golang.org/protobuf/proto"
)

// FuzzParse: whatever the text, Parse ends, gives the same twice, and every
// Problem has a place in the file.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*/*")
	if err != nil || len(names) < 10 {
		f.Fatalf("the seeds are missing: %v %v", names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, "spec.http[0].mirror.host", "httpbin:8000/v1=127.0.0.1:28001")
	}
	f.Fuzz(func(t *testing.T, data []byte, field, endpoint string) {
		file := config.File{Name: "in", Data: data}
		opt := config.Options{Endpoints: []string{endpoint}}
		set, problems := config.Parse([]config.File{file}, &file, opt)
		again, same := config.Parse([]config.File{file}, &file, opt)
		if diff := cmp.Diff(problems, same); diff != "" {
			t.Errorf("Problems differ from one Parse to the next:\n%s", diff)
		}
		if !equal(set, again) {
			t.Error("the Set differs from one Parse to the next")
		}
		last := config.Position{File: "in"}
		for _, p := range problems {
			if p.Position.File == "in" && (p.Position.Line < last.Line || p.Position.Line > 0 && p.Position.Column == 0) || p.Position.File == "" || p.Message == "" {
				t.Errorf("badly placed after %v: %+v", last, p)
			}
			if p.Position.File == "in" && p.Object != "MeshConfig" {
				last = p.Position
			}
		}
		for _, p := range problems {
			if strings.Contains(p.Message, "cannot be read: ") {
				t.Errorf("the checker let through what the decoder refuses: %s", p)
			}
		}
		for _, v := range set.VirtualServices {
			if v.Source.At(field).Line == 0 {
				t.Errorf("no place for %q in %s", field, v)
			}
		}
	})
}

// equal compares Sets; protobuf messages by their contents.
func equal(a, b *config.Set) bool {
	return cmp.Equal(a, b, cmp.Comparer(proto.Equal), cmpopts.EquateComparable(), cmp.Exporter(func(reflect.Type) bool { return true }),
		cmp.Comparer(func(a, b *config.Source) bool { return a.Position == b.Position && a.At("spec") == b.At("spec") }))
}
