package test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	attackMemory  = 150 << 20 // the most that sundog may have resident
	attackLatency = 5 * time.Second
	largeAnswer   = 64 << 20
	mediumAnswer  = 256 << 10
)

// TestAttacks: while somebody attacks, an ordinary client is served and the
// memory is bounded; afterwards nothing is left.
func TestAttacks(t *testing.T) {
	if buildTags == "portable" {
		t.Skip("the portable driver has a few goroutines for each connection")
	}
	primary, shadow := largeService(t), serve(t, "shadow")
	p := mirror(t, primary, shadow.address)
	address := p.listener("127.0.0.1_0")
	send(t, client(t, ""), 20, "primary", get(t, p.url("/")))
	before := p.footprint()
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			largest, served := watchMemory(t, p), bystander(t, address)
			a.run(t, address)
			n, slowest := served()
			rss := largest()
			t.Logf("%d ordinary requests, the slowest took %v; at most %d MiB", n, slowest.Round(time.Millisecond), rss>>20)
			if n == 0 || slowest > attackLatency {
				t.Errorf("%d ordinary requests, the slowest took %v", n, slowest)
			}
			if rss > attackMemory {
				t.Errorf("sundog's memory grew to %d MiB", rss>>20)
			}
			p.returnsTo(before)
		})
	}
	p.stop()
}

// footprint is what connections and streams leave if they leak.
type footprint struct {
	goroutines  int
	descriptors int // but for connections to endpoints, which stay in pools
	requests    int // to endpoints, under way
}

func (p *process) footprint() (f footprint) {
	p.t.Helper()
	_, stats := p.get("/stats")
	sum := func(name string) (n int) {
		for _, m := range regexp.MustCompile(`(?m)^cluster\..*\.`+name+`: (\d+)$`).FindAllSubmatch(stats, -1) {
			v, err := strconv.Atoi(string(m[1]))
			must(p.t, err)
			n += v
		}
		return n
	}
	_, profile := p.get("/debug/pprof/goroutine?debug=1")
	f.goroutines = busy(p.t, string(profile))
	open, err := descriptors(p.cmd.Process)
	must(p.t, err)
	f.requests, f.descriptors = sum("upstream_rq_active"), open-sum("upstream_cx_active")
	return f
}

// busy counts the goroutines of a profile, but for the coroutines that loops
// keep for later, some thousand each: they have no job.
func busy(t *testing.T, profile string) (n int) {
	t.Helper()
	head, groups, _ := strings.Cut(profile, "\n")
	_, err := fmt.Sscanf(head, "goroutine profile: total %d", &n)
	must(t, err)
	for group := range strings.SplitSeq(groups, "\n\n") {
		if !strings.Contains(group, "loop.(*Task).coroutine") || strings.Contains(group, "loop.(*Task).runJob") {
			continue
		}
		var idle int
		_, err := fmt.Sscanf(strings.TrimSpace(group), "%d @", &idle)
		must(t, err)
		n -= idle
	}
	return n
}

// returnsTo waits until no more is there than was. What the admin interface
// itself and the runtime have may differ by a few.
func (p *process) returnsTo(before footprint) {
	p.t.Helper()
	const few = 3
	var now footprint
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%+v, was %+v", now, before)
		}
	}()
	eventually(p.t, "nothing is left behind", func() bool {
		now = p.footprint()
		return now.goroutines <= before.goroutines+few && now.descriptors <= before.descriptors+few && now.requests <= before.requests
	})
}

// bystander sends ordinary requests, over a kept connection and over new ones,
// until the returned function is called, which tells how many there were and
// how long the slowest took.
func bystander(t *testing.T, address string) func() (int, time.Duration) {
	stop, done := make(chan struct{}), make(chan struct{})
	var n int
	var slowest time.Duration
	go func() {
		defer close(done)
		var k *keepAlive
		defer func() {
			if k != nil {
				_ = k.conn.Close()
			}
		}()
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for ; ; n++ {
			started := time.Now()
			if n%10 == 0 {
				if k != nil {
					_ = k.conn.Close()
				}
				var err error
				if k, err = newKeepAlive(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Errorf("an ordinary client cannot connect: %v", err)
					return
				}
			}
			if body, err := k.do(); err != nil || string(body) != "primary" {
				t.Errorf("an ordinary request got %q, %v", body, err)
				return
			}
			slowest = max(slowest, time.Since(started))
			select {
			case <-stop:
				return
			case <-again.C:
			}
		}
	}()
	return func() (int, time.Duration) {
		close(stop)
		<-done
		return n, slowest
	}
}

// largeService answers /large with 64 MiB, /medium with 256 KiB, all else with
// its name.
func largeService(t *testing.T) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	piece := make([]byte, 64<<10)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		size := map[string]int{"/large": largeAnswer, "/medium": mediumAnswer}[r.URL.Path]
		if size == 0 {
			_, _ = io.WriteString(w, "primary")
			return
		}
		for range size / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-done
	})
	return ln.Addr().String()
}

type attack struct {
	name string
	run  func(t *testing.T, address string)
}

func attacks() []attack {
	ping := frames(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) })
	settings := frames(func(f *http2.Framer) error { return f.WriteSettings() })
	update := frames(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1) })
	more := frames(func(f *http2.Framer) error { return f.WriteContinuation(1, false, nil) })
	open := frames(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: requestBlock("/")})
	})
	return []attack{
		{"slow heads", slowHeads},
		{"slow bodies", slowBodies},
		{"slow readers", slowReaders},
		{"oversized heads", oversizedHeads},
		{"rapid reset", rapidReset},
		{"CONTINUATION", flood(open, more, true)},
		{"PING", flood(nil, ping, true)},
		{"PING without reading", flood(nil, ping, false)},
		{"SETTINGS", flood(nil, settings, true)},
		{"SETTINGS without reading", flood(nil, settings, false)},
		{"WINDOW_UPDATE", flood(nil, update, true)},
		{"HPACK bomb", hpackBomb},
		{"zero windows", zeroWindows},
	}
}

// dialAll opens n connections and closes them when the attack is over.
func dialAll(t *testing.T, address string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", address)
		must(t, err)
		conns[i] = c
	}
	t.Cleanup(func() { closeAll(conns) })
	return conns
}

func closeAll(conns []net.Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// slowHeads is slowloris: a thousand heads, byte by byte.
func slowHeads(t *testing.T, address string) {
	conns := dialAll(t, address, 1000)
	defer closeAll(conns)
	head := "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 20)
	for i := range len(head) {
		for _, c := range conns {
			_, err := io.WriteString(c, head[i:i+1])
			must(t, err)
		}
	}
}

// slowBodies fits into what the primary's breaker allows: 1,024 requests.
func slowBodies(t *testing.T, address string) {
	conns := dialAll(t, address, 500)
	defer closeAll(conns)
	for _, c := range conns {
		_, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
		must(t, err)
	}
	for range 50 {
		for _, c := range conns {
			_, err := io.WriteString(c, "x")
			must(t, err)
		}
	}
}

func slowReaders(t *testing.T, address string) {
	conns := dialAll(t, address, 50)
	defer closeAll(conns)
	for _, c := range conns {
		must(t, c.(*net.TCPConn).SetReadBuffer(16<<10))
		_, err := io.WriteString(c, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
		must(t, err)
	}
	buf := make([]byte, 1024)
	for range 200 {
		for _, c := range conns {
			must(t, c.SetReadDeadline(time.Now().Add(patience)))
			_, err := c.Read(buf)
			must(t, err)
		}
	}
}

// oversizedHeads sends heads of 1 MiB: each is answered early.
func oversizedHeads(t *testing.T, address string) {
	conns := dialAll(t, address, 100)
	defer closeAll(conns)
	head := "GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("y", 1<<20)
	var wg sync.WaitGroup
	var refused atomic.Int64
	for _, c := range conns {
		wg.Go(func() {
			_ = c.SetDeadline(time.Now().Add(patience))
			go func() { _, _ = io.WriteString(c, head) }()
			// What is written after the end of the connection may reset it, and
			// with it what was not read.
			answer, err := io.ReadAll(c)
			if strings.HasPrefix(string(answer), "HTTP/1.1 431 ") || errors.Is(err, errReset) {
				refused.Add(1)
			}
		})
	}
	wg.Wait()
	if n := refused.Load(); n != int64(len(conns)) {
		t.Errorf("%d of %d oversized heads were refused", n, len(conns))
	}
}

// frames are what f writes.
func frames(f func(*http2.Framer) error) []byte {
	var b bytes.Buffer
	if err := f(http2.NewFramer(&b, nil)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func requestBlock(path string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", path}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return b.Bytes()
}

// hello begins a connection of HTTP/2.
func hello(t *testing.T, address string, settings ...http2.Setting) net.Conn {
	t.Helper()
	c := dialAll(t, address, 1)[0]
	_, err := c.Write(append([]byte(http2.ClientPreface), frames(func(f *http2.Framer) error { return f.WriteSettings(settings...) })...))
	must(t, err)
	return c
}

// calmed writes until sundog has said ENHANCE_YOUR_CALM, or has reset the
// connection, which it must. What comes after that it may still read.
func calmed(t *testing.T, c net.Conn, read bool, next func(i int) []byte) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	written := make(chan struct{})
	go func() {
		defer close(written)
		for i := 0; ; i++ {
			p := next(i)
			if p == nil {
				return
			}
			if _, err := c.Write(p); err != nil {
				return
			}
		}
	}()
	if !read {
		<-written
	}
	f := http2.NewFramer(nil, c)
	for {
		frame, err := f.ReadFrame()
		if g, ok := frame.(*http2.GoAwayFrame); ok && g.ErrCode == http2.ErrCodeEnhanceYourCalm {
			break
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, io.EOF) {
			t.Errorf("the flood is not ended: %v", err)
		}
		if err != nil {
			break
		}
	}
	_ = c.Close()
	<-written
}

// flood sends the same frame again and again, over ten connections.
func flood(first, frame []byte, read bool) func(*testing.T, string) {
	return func(t *testing.T, address string) {
		many := bytes.Repeat(frame, 100)
		var wg sync.WaitGroup
		for range 10 {
			c := hello(t, address)
			wg.Go(func() {
				calmed(t, c, read, func(i int) []byte {
					switch {
					case i == 0 && first != nil:
						return first
					case i > 500:
						return nil
					}
					return many
				})
			})
		}
		wg.Wait()
	}
}

// rapidReset begins and resets 10,000 requests on each of ten connections.
func rapidReset(t *testing.T, address string) {
	block := requestBlock("/")
	for range 10 {
		calmed(t, hello(t, address), true, func(i int) []byte {
			if i >= 100 {
				return nil
			}
			return frames(func(f *http2.Framer) error {
				var err error
				for j := range 100 {
					id := uint32(200*i + 2*j + 1)
					err = errors.Join(err, f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true}),
						f.WriteRSTStream(id, http2.ErrCodeCancel))
				}
				return err
			})
		})
	}
}

// hpackBomb names one large field of the table thousands of times in a block.
func hpackBomb(t *testing.T, address string) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", "/"}, {"x", strings.Repeat("y", 4000)}} {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	bomb := append(b.Bytes(), bytes.Repeat([]byte{0x80 | 62}, 10000)...)
	for range 10 {
		c := hello(t, address)
		for id := uint32(1); id < 200; id += 2 {
			_, err := c.Write(frames(func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bomb, EndHeaders: true, EndStream: true})
			}))
			if err != nil {
				break
			}
		}
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		f, d := http2.NewFramer(nil, c), hpack.NewDecoder(4096, nil)
		for refused := false; !refused; {
			switch frame, err := f.ReadFrame(); frame := frame.(type) {
			case nil:
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("a bomb is not answered")
				}
				refused = true
			case *http2.HeadersFrame:
				fields, err := d.DecodeFull(frame.HeaderBlockFragment())
				must(t, err)
				if fields[0].Value != "431" {
					t.Fatalf("a bomb is answered with %v", fields)
				}
				refused = true
			case *http2.RSTStreamFrame, *http2.GoAwayFrame:
				refused = true
			}
		}
		_ = c.Close()
	}
}

// zeroWindows asks for 256 KiB on a thousand streams and takes nothing.
func zeroWindows(t *testing.T, address string) {
	block := requestBlock("/medium")
	for range 10 {
		c := hello(t, address, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		defer func() { _ = c.Close() }()
		for id := uint32(1); id < 200; id += 2 {
			_, err := c.Write(frames(func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
			}))
			must(t, err)
		}
		must(t, c.SetReadDeadline(time.Now().Add(patience)))
		f := http2.NewFramer(nil, c)
		for heads := 0; heads < 100; {
			frame, err := f.ReadFrame()
			must(t, err)
			if _, ok := frame.(*http2.HeadersFrame); ok {
				heads++
			}
		}
	}
}
