package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"
)

// badShadow is a destination that a mirror must survive.
type badShadow struct {
	name  string
	start func() (addr string, stop func(), err error)
}

// harm compares the latency that clients see with a broken shadow against no
// mirror at all, at half of the rate that the proxy can take.
func (b *bench) harm(ctx context.Context) error {
	primary, paddr, err := b.startNginx(ctx, "primary", nginxSink, job{})
	if err != nil {
		return err
	}
	defer primary.stop()
	fmt.Printf("Latency with a broken shadow against no mirror, medians of %d runs of %v at half of saturation\n\n", b.runs, b.length)
	fmt.Printf("| body | shadow | rate | p50 | p99 | p50 ratio | p99 ratio | failed | RSS, MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, body := range []struct {
		name  string
		size  int
		conns int
	}{{"1 KiB", 1 << 10, 16}, {"16 MiB", 16 << 20, 2}} {
		path := filepath.Join(b.dir, "body")
		if err := os.WriteFile(path, make([]byte, body.size), 0o600); err != nil {
			return err
		}
		for _, shadow := range []badShadow{{"refuses", refusing}, {"accepts, never reads", hanging}, {"answers after 1 s", slow}} {
			if err := b.harmRow(ctx, paddr, shadow, body.name, path, body.conns); err != nil {
				return err
			}
		}
	}
	fmt.Println()
	return nil
}

func (b *bench) harmRow(ctx context.Context, primary string, shadow badShadow, name, body string, conns int) error {
	plain, plainAddr, err := b.startSundog(ctx, job{primary: primary})
	if err != nil {
		return err
	}
	defer plain.stop()
	bad, stop, err := shadow.start()
	if err != nil {
		return err
	}
	defer stop()
	mirrored, mirroredAddr, err := b.startSundog(ctx, job{primary: primary, shadow: bad})
	if err != nil {
		return err
	}
	defer mirrored.stop()
	most, err := b.uploads(ctx, plainAddr, conns, body)
	if err != nil {
		return err
	}
	rate := max(int(most/2), conns)
	var p50s, p99s, base50, base99 []float64
	failed := 0
	for i := range b.runs + 1 { // the first warms up
		without, err := b.atRate(ctx, plainAddr, rate, conns, body)
		if err != nil {
			return err
		}
		with, err := b.atRate(ctx, mirroredAddr, rate, conns, body)
		if err != nil {
			return err
		}
		failed += with.failed
		if i > 0 {
			base50, base99 = append(base50, float64(without.p50)), append(base99, float64(without.p99))
			p50s, p99s = append(p50s, float64(with.p50)), append(p99s, float64(with.p99))
		}
	}
	fmt.Printf("| %s | %s | %d/s | %v | %v | %.2f | %.2f | %d | %.0f |\n", name, shadow.name, rate,
		time.Duration(median(p50s)), time.Duration(median(p99s)),
		median(p50s)/median(base50), median(p99s)/median(base99), failed, float64(mirrored.rss())/(1<<20))
	return nil
}

// refusing is an address that nobody listens on.
func refusing() (string, func(), error) {
	addr, err := freeAddr()
	return addr, func() {}, err
}

// hanging accepts connections and never reads from them.
func hanging() (string, func(), error) {
	return listen(func(c net.Conn, done <-chan struct{}) { <-done })
}

// slow reads everything and answers each second.
func slow() (string, func(), error) {
	return listen(func(c net.Conn, done <-chan struct{}) {
		got := make(chan struct{}, 1)
		go func() {
			buf := make([]byte, 64<<10)
			for {
				if _, err := c.Read(buf); err != nil {
					return
				}
				select {
				case got <- struct{}{}:
				default:
				}
			}
		}()
		for {
			select {
			case <-done:
				return
			case <-got:
			}
			select {
			case <-done:
				return
			case <-time.After(time.Second):
			}
			if _, err := c.Write([]byte("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")); err != nil {
				return
			}
		}
	})
}

func listen(serve func(net.Conn, <-chan struct{})) (string, func(), error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	done := make(chan struct{})
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c, done)
			}()
		}
	}()
	return ln.Addr().String(), func() { close(done); _ = ln.Close() }, nil
}
