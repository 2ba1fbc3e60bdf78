package route

import (
	"bytes"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/sundog-mesh/sundog/internal/envoy"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// policy reads the ShadowPolicy of a route from its metadata, and gives the
// mirrors what it says of paths.
func (c *compiler) policy(f *Forward, metadata *corev3.Metadata) {
	in := metadata.GetFilterMetadata()[envoy.MetadataKey].GetFields()[policy.MetadataField].GetStructValue()
	if in == nil {
		return
	}
	c = c.in("metadata." + envoy.MetadataKey + "." + policy.MetadataField)
	p, err := policy.Decode(in)
	if err != nil {
		c.failErr("", err)
		return
	}
	f.Policy = p
	path := p.Request.Path
	if path == nil {
		return
	}
	change := copyPath{prefix: []byte(path.Prefix), replacement: []byte(path.Replacement)}
	if path.Regex != "" {
		if change.regex, err = newRewriter(path.Regex, path.Substitution); err != nil {
			c.failErr("request.path", err)
		}
	}
	for i := range f.Mirrors {
		f.Mirrors[i].path = change
	}
}

// copyPath is how a copy's path differs from the primary's. The zero copyPath
// leaves it.
type copyPath struct {
	prefix, replacement []byte
	regex               *rewriter
}

func (p *copyPath) rewrite(h *traffic.Head) {
	path := h.Path()
	bare := barePath(path)
	var changed []byte
	switch {
	case p.regex != nil:
		changed = p.regex.append(nil, bare)
	case len(p.prefix) > 0 && bytes.HasPrefix(bare, p.prefix):
		changed = append(append(changed, p.replacement...), bare[len(p.prefix):]...)
	default:
		return
	}
	h.SetPath(append(changed, path[len(bare):]...))
}
