//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	comparePaths         = 10_000
	mostOfComparedMemory = 1.1
)

// compareMemory compares answers of many paths, and looks at the memory.
func (b *bench) compareMemory(ctx context.Context, s jsonServices) error {
	exchanges := uint64(1_000_000)
	if b.quick {
		exchanges = 50_000
	}
	b.report.printf("%d compared exchanges (1 KiB, unequal) over %d paths, as fast as 4 connections send them, `--compare`. Heap is what is in use.\n\n", exchanges, comparePaths)
	b.report.columns("paths", "RSS at start, MiB", "at 10 %", "at 50 %", "at 100 %", "last ÷ middle", "budget", "heap, MiB, at 10 %", "at 50 %", "at 100 %", "endpoints", "dropped", "compared/s")
	for _, kind := range []struct {
		name string
		path func(n int) string
	}{
		{"`/items/N/detail`", func(n int) string { return fmt.Sprintf("/items/%d/detail", n) }},
		{"words that are no ids", func(n int) string { return "/" + word(n) + "/detail" }},
	} {
		if err := b.compareMemoryRow(ctx, s, kind.name, kind.path, exchanges); err != nil {
			return fmt.Errorf("%s: %w", kind.name, err)
		}
	}
	return nil
}

// word is a different word for each n below 10,000, of four syllables.
func word(n int) string {
	syllables := [10]string{"ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "su"}
	var w strings.Builder
	for range 4 {
		w.WriteString(syllables[n%10])
		n /= 10
	}
	return w.String()
}

func (b *bench) compareMemoryRow(ctx context.Context, s jsonServices, name string, path func(int) string, exchanges uint64) error {
	p, err := b.startForm(ctx, s, formOn)
	if err != nil {
		return err
	}
	defer p.stop()
	var urls strings.Builder
	for n := range comparePaths {
		fmt.Fprintf(&urls, "http://%s%s\n", p.addr, path(n))
	}
	file := filepath.Join(b.dir, "urls")
	if err := os.WriteFile(file, []byte(urls.String()), 0o600); err != nil {
		return err
	}
	start, began := p.rss(), time.Now()
	var rss, heap []float64
	var did account
	for _, share := range []uint64{10, 50, 100} {
		if did, err = b.compareUntil(ctx, p, file, exchanges*share/100); err != nil {
			return err
		}
		own, err := p.metrics(ctx)
		if err != nil {
			return err
		}
		rss, heap = append(rss, p.rss()), append(heap, own["go_memstats_heap_inuse_bytes"])
	}
	perSecond := float64(did.compared) / time.Since(began).Seconds()
	r := rss[2] / rss[1]
	b.report.row(name, mib(start), mib(rss[0]), mib(rss[1]), mib(rss[2]), ratio(r), verdict(r, mostOfComparedMemory),
		mib(heap[0]), mib(heap[1]), mib(heap[2]), fmt.Sprint(did.endpoints), reasons(did.dropped), count(perSecond))
	return nil
}

// compareUntil sends requests until so many exchanges are compared.
func (b *bench) compareUntil(ctx context.Context, p *process, urls string, compared uint64) (account, error) {
	for {
		now, err := p.account(ctx)
		if err != nil || now.compared >= compared {
			return now, err
		}
		// A turn has all paths of each of the four connections.
		n := max(compared-now.compared, 4*comparePaths)
		args := []string{"--h1", "-t", "1", "-c", "4", "-n", fmt.Sprint(n), "-i", urls}
		if _, err := h2load(ctx, 10*time.Minute, args...); err != nil {
			return now, err
		}
		if _, err := p.settledCPU(ctx); err != nil {
			return now, err
		}
		after, err := p.account(ctx)
		if err != nil {
			return now, err
		}
		if after.compared == now.compared {
			return after, fmt.Errorf("of %d exchanges none was compared: %+v", n, after)
		}
	}
}
