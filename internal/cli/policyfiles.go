package cli

import (
	"crypto/sha256"
	"fmt"
	"os"

	"github.com/sundog-mesh/sundog/internal/config"
)

// policyFile is a file that a ShadowPolicy names.
type policyFile struct {
	path  string
	where config.Problem // the object and field that name it
}

// policyFiles are the files with keys and schemas that ShadowPolicies name.
func policyFiles(set *config.Set) []policyFile {
	var all []policyFile
	for _, o := range set.ShadowPolicies {
		add := func(field, path string) {
			if path != "" {
				all = append(all, policyFile{path, o.Problem(config.Warning, field, "", "sundog reads it where it runs; put it there, or correct the path")})
			}
		}
		if c := o.Spec.Compare; c != nil {
			add("spec.compare.openAPIFile", c.OpenAPIFile)
			if c.Protobuf != nil {
				add("spec.compare.protobuf.descriptorFile", c.Protobuf.DescriptorFile)
			}
		}
		if r := o.Spec.Request; r != nil && r.Redact != nil {
			add("spec.request.redact.keyFile", r.Redact.KeyFile)
		}
	}
	return all
}

// unreadable warns of files that cannot be read here. It is no error: sundog
// may run elsewhere.
func unreadable(files []policyFile) []config.Problem {
	var all []config.Problem
	for _, named := range files {
		f, err := os.Open(named.path)
		if err == nil {
			_ = f.Close()
			continue
		}
		p := named.where
		p.Message = "it cannot be read here: " + err.Error()
		all = append(all, p)
	}
	return all
}

// contentsOf is a hash of what the files hold. One that cannot be read counts
// by that.
func contentsOf(files []policyFile) string {
	h := sha256.New()
	for _, named := range files {
		data, err := os.ReadFile(named.path)
		_, _ = fmt.Fprintf(h, "%q %t %d ", named.path, err == nil, len(data)) // a hash does not fail
		_, _ = h.Write(data)
	}
	return string(h.Sum(nil))
}
