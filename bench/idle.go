//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"
)

// idleConnections measures what a keep-alive connection costs that has had a
// request and waits for the next.
func (b *bench) idleConnections(ctx context.Context) error {
	if err := openFiles(uint64(b.idle + 1000)); err != nil {
		return err
	}
	primary, err := b.backend(ctx, false)
	if err != nil {
		return err
	}
	defer primary.stop()
	b.report.printf("%d connections, each after one request; resident memory, less that before them. At the end each is\n"+
		"asked again, to see whether it was still open. nginx allocates its 30,000 connections at the start.\n\n", b.idle)
	b.report.columns("proxy", "RSS before, MiB", "with them, MiB", "KiB per connection", "budget, KiB", "closed by the proxy")
	for _, p := range b.all() {
		if p.missing {
			b.report.missing(6, p, p.name)
			continue
		}
		if err := b.idleRow(ctx, p, primary.addr); err != nil {
			b.report.failure("%s: %v", p.name, err)
			b.report.missing(6, p, p.name)
		}
	}
	return ctx.Err()
}

func (b *bench) idleRow(ctx context.Context, p proxy, primary string) error {
	proc, err := p.start(ctx, job{primary: primary})
	if err != nil {
		return err
	}
	defer proc.stop()
	first, err := dialAndAsk(proc.addr) // code is paged in, pools are there
	if err != nil {
		return err
	}
	defer first.Close()
	before := proc.rss()
	open := make([]net.Conn, 0, b.idle)
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for range b.idle {
		c, err := dialAndAsk(proc.addr)
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(open)+1, err)
		}
		open = append(open, c)
	}
	if err := wait(ctx, 3*time.Second); err != nil { // buffers go back to their pools
		return err
	}
	after := proc.rss()
	closed := 0
	for _, c := range open {
		if exchangeOnce(c) != nil {
			closed++
		}
	}
	each := (after - before) / float64(b.idle) / 1024
	budget := ""
	if p.name == "sundog" {
		budget = verdict(each, 6)
	}
	b.report.row(p.name, mib(before), mib(after), ratio(each), budget, fmt.Sprint(closed))
	return nil
}

// dialAndAsk connects and has one exchange.
func dialAndAsk(addr string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := exchangeOnce(c); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// exchangeOnce sends one request and reads its answer.
func exchangeOnce(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, "GET "+(wire{}).path()+" HTTP/1.1\r\nhost: bench\r\n\r\n"); err != nil {
		return err
	}
	return readMessage(c, make([]byte, 4<<10))
}
