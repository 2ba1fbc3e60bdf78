package cli

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/sundog-mesh/sundog/internal/config"
)

// policyFiles warns of files that ShadowPolicies name and that cannot be read
// here. It is no error: sundog may run elsewhere.
func policyFiles(set *config.Set) []config.Problem {
	var all []config.Problem
	for _, o := range set.ShadowPolicies {
		files := map[string]string{}
		if r := o.Spec.Request; r != nil && r.Redact != nil {
			files["spec.request.redact.keyFile"] = r.Redact.KeyFile
		}
		if c := o.Spec.Compare; c != nil {
			files["spec.compare.openAPIFile"] = c.OpenAPIFile
			if c.Protobuf != nil {
				files["spec.compare.protobuf.descriptorFile"] = c.Protobuf.DescriptorFile
			}
		}
		for _, field := range slices.Sorted(maps.Keys(files)) {
			if files[field] == "" {
				continue
			}
			f, err := os.Open(files[field])
			if err == nil {
				_ = f.Close()
				continue
			}
			all = append(all, o.Problem(config.Warning, field, "it cannot be read here: "+err.Error(), "sundog reads it where it runs; put it there, or correct the path"))
		}
	}
	return all
}

// once leaves out that an object as a whole is of no use where other errors say why.
func once(problems []config.Problem) []config.Problem {
	errors := map[string]int{}
	for _, p := range problems {
		if p.Severity == config.Error {
			errors[p.Object]++
		}
	}
	return slices.DeleteFunc(problems, func(p config.Problem) bool {
		return p.Severity == config.Error && p.Field == "spec" && errors[p.Object] > 1 && strings.HasPrefix(p.Message, "cannot be used: encoding policy")
	})
}
