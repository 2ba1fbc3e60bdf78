//go:build linux

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
)

// nginxSmall answers every request with the same few bytes.
const nginxSmall = nginxHead + `server { listen {{.Addr}} backlog=4096; location / { return 200 "ok: a small answer of some sixty bytes, to have a body at all\n"; } } }
`

// nginxLarge answers every request with 64 KiB from a file.
const nginxLarge = nginxHead + `sendfile on; tcp_nopush on; open_file_cache max=4;
server { listen {{.Addr}} backlog=4096; root {{.Dir}}; location / { rewrite ^ /large break; } } }
`

// backend starts a server that answers GETs with small bodies or large ones.
func (b *bench) backend(ctx context.Context, large bool) (*process, error) {
	if !large {
		return b.runNginx(ctx, nginxSmall, job{})
	}
	if _, err := b.file("large", 64<<10); err != nil {
		return nil, err
	}
	return b.runNginx(ctx, nginxLarge, job{})
}

// withBackends does something with a primary that answers little, one that
// answers much, and a shadow.
func (b *bench) withBackends(ctx context.Context, do func(small, large, shadow string) error) error {
	var addrs []string
	for _, large := range []bool{false, true, false} {
		p, err := b.backend(ctx, large)
		if err != nil {
			return err
		}
		defer p.stop()
		addrs = append(addrs, p.addr)
	}
	return do(addrs[0], addrs[1], addrs[2])
}

// withGRPC does something with two upstreams that speak gRPC.
func (b *bench) withGRPC(ctx context.Context, do func(primary, shadow string) error) error {
	var addrs []string
	for range 2 {
		s, err := b.play(ctx, grpcRole)
		if err != nil {
			return err
		}
		defer s.stop()
		addrs = append(addrs, s.addr)
	}
	return do(addrs[0], addrs[1])
}

// file writes a scratch file of so many bytes, which nginx's worker may read.
func (b *bench) file(name string, size int) (string, error) {
	path := filepath.Join(b.dir, name)
	return path, os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o644)
}
