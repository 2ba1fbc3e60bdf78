package proxy_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sundog-mesh/sundog/internal/proxy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// bodySizes are those that every way of a body is tried with.
var bodySizes = []int{0, 1, 64 << 10, 16 << 20}

// payload is n bytes that look like nothing else, the same each time.
func payload(n int) []byte {
	b := make([]byte, n)
	var seed [32]byte
	_, _ = rand.NewChaCha8(seed).Read(b)
	return b
}

// unsized hides the length of a reader, so that net/http sends chunks.
type unsized struct{ io.Reader }

func TestBodies(t *testing.T) {
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("primary: %v", err)
		}
		if wasChunked := len(r.TransferEncoding) > 0; wasChunked != (r.URL.Query().Get("up") == "chunked") {
			t.Errorf("primary: %s came with %v", r.URL, r.TransferEncoding)
		}
		if r.URL.Query().Get("down") == "chunked" {
			w.(http.Flusher).Flush()
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		_, _ = w.Write(body)
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 2})
	c := client(t)
	for _, n := range bodySizes {
		want := payload(n)
		for _, up := range []string{"length", "chunked"} {
			for _, down := range []string{"length", "chunked"} {
				var body io.Reader = bytes.NewReader(want)
				if up == "chunked" {
					body = unsized{body}
				}
				resp, err := c.Post("http://"+addr+"/?up="+up+"&down="+down, "", body)
				if err != nil {
					t.Fatalf("%d up %s down %s: %v", n, up, down, err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
					t.Errorf("%d up %s down %s: %d bytes, %v", n, up, down, len(got), err)
				}
				if wantLength := down == "length"; (resp.ContentLength == int64(n)) != wantLength {
					t.Errorf("%d up %s down %s: Content-Length %d", n, up, down, resp.ContentLength)
				}
			}
		}
	}
}

// TestEarlyAnswer sends a large body to a primary that answers after the head
// and closes: the client gets the answer, and no reset before it has read it.
func TestEarlyAnswer(t *testing.T) {
	for _, tt := range []struct{ name, head string }{
		{"length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\n\r\n"},
		{"chunked", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			over := make(chan error, 1)
			primary := peer(t, func(w *wire) {
				if _, err := http.ReadRequest(w.r); err != nil {
					return
				}
				w.send("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
				_, err := w.rest()
				over <- err
			})
			sink := &recorder{}
			_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			c.send("%s", tt.head)
			if err := <-over; !isReset(err) {
				t.Errorf("the primary's connection ended with %v, want a reset", err)
			}
			for range 64 { // the client, still sending, sees no reset
				if _, err := c.Write(make([]byte, 32<<10)); err != nil {
					t.Fatalf("sending on: %v", err)
				}
			}
			if resp, body := c.response("POST"); resp.StatusCode != 413 || body != "big" {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
			c.wantEnd("after an early answer")
			if got := sink.wait(t, traffic.Answered, 0).primary; got.Status != 413 || got.Flags != "-" {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

// TestEarlyAnswerThatReadsOn has a primary that takes the rest of the request
// all the same: then every connection stays of use.
func TestEarlyAnswerThatReadsOn(t *testing.T) {
	var conns atomic.Int32
	primary := peer(t, func(w *wire) {
		conns.Add(1)
		for {
			r, err := http.ReadRequest(w.r)
			if err != nil {
				return
			}
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			_, _ = io.Copy(io.Discard, r.Body)
		}
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	for range 3 {
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n")
		if resp, body := c.response("POST"); resp.StatusCode != 200 || body != "ok" || resp.Close {
			t.Fatalf("%d %q, close %v", resp.StatusCode, body, resp.Close)
		}
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections to the primary", n)
	}
}

// TestAnswerDuringUpload passes an answer on while the request goes on.
func TestAnswerDuringUpload(t *testing.T) {
	primary := peer(t, func(w *wire) {
		r, err := http.ReadRequest(w.r)
		if err != nil {
			return
		}
		w.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				w.send("%x\r\n%s\r\n", n, buf[:n])
			}
			if err != nil {
				w.send("0\r\n\r\n")
				return
			}
		}
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	c := dial(t, addr)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		said := fmt.Sprintf("word %02d", i)
		c.send("7\r\n%s\r\n", said)
		got := make([]byte, len(said))
		if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != said {
			t.Fatalf("%q, %v", got, err)
		}
	}
	c.send("0\r\n\r\n")
	if rest, err := io.ReadAll(resp.Body); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v at the end", rest, err)
	}
}

func TestClientLeavesDuringUpload(t *testing.T) {
	over := make(chan error, 1)
	primary := peer(t, func(w *wire) {
		_, err := w.rest()
		over <- err
	})
	sink := &recorder{}
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
	for name, leave := range map[string]func(*wire){"closes": func(w *wire) { _ = w.Close() }, "resets": (*wire).reset} {
		c := dial(t, addr)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
		leave(c)
		if err := <-over; !isReset(err) {
			t.Errorf("client %s: the primary's connection ended with %v, want a reset", name, err)
		}
	}
	for i := range 2 {
		if got := sink.wait(t, traffic.Answered, i).primary; got.Flags != "DC" || got.Details != "downstream_remote_disconnect" || got.Status != 0 {
			t.Errorf("recorded %+v", got)
		}
	}
}

func TestClientLeavesWhileWaiting(t *testing.T) {
	came, over := make(chan bool, 1), make(chan error, 1)
	primary := peer(t, func(w *wire) {
		w.request()
		came <- true
		_, err := w.rest()
		over <- err
	})
	sink := &recorder{}
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-came
	_ = c.Close()
	if err := <-over; !isReset(err) && err != io.EOF {
		t.Errorf("the primary's connection: %v", err)
	}
	if got := sink.wait(t, traffic.Answered, 0).primary; got.Flags != "DC" {
		t.Errorf("recorded %+v", got)
	}
}

// TestTruncatedAnswer wants what came to reach the client, and never a clean
// end.
func TestTruncatedAnswer(t *testing.T) {
	for _, tt := range []struct{ name, version, answer string }{
		{"length", "1.1", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"},
		{"chunked", "1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
		{"chunked to HTTP/1.0", "1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"},
		{"broken chunk", "1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			more := make(chan bool)
			primary := peer(t, func(w *wire) {
				if r, _ := w.request(); r != nil {
					head, body, _ := strings.Cut(tt.answer, "\r\n\r\n")
					w.send("%s\r\n\r\n", head)
					<-more
					w.send("%s", body)
				}
			})
			sink := &recorder{}
			_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
			c := dial(t, addr)
			c.send("GET / HTTP/%s\r\nHost: x\r\n\r\n", tt.version)
			resp, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			more <- true
			body, err := io.ReadAll(resp.Body)
			if err == nil || tt.version == "1.1" && string(body) != "abc" {
				t.Errorf("%q, error %v", body, err)
			}
			got := sink.wait(t, traffic.Answered, 0).primary
			if got.Status != 200 || !strings.HasPrefix(got.Details, "upstream_reset_after_response_started{") || (got.Flags != "UC" && got.Flags != "UPE") {
				t.Errorf("recorded %+v", got)
			}
		})
	}
}

// TestSlowReader lets a client rest before the end of a large last answer.
func TestSlowReader(t *testing.T) {
	want := payload(8 << 20)
	primary := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(want)))
		_, _ = w.Write(want)
	})
	sink := &recorder{}
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1, Sink: sink})
	c := dial(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	n, err := io.ReadFull(resp.Body, got[:len(want)-(256<<10)])
	if err != nil {
		t.Fatalf("%v after %d bytes", err, n)
	}
	sink.wait(t, traffic.Answered, 0) // for the proxy it is over
	m, err := io.ReadFull(resp.Body, got[n:])
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v after %d bytes", err, n+m)
	}
	c.wantEnd("after the last answer")
}

// TestEndlessBodiesStarveNobody has one client that downloads and one that
// uploads as fast as they can, and asks on the same loop.
func TestEndlessBodiesStarveNobody(t *testing.T) {
	primary := peer(t, func(w *wire) {
		for {
			r, err := http.ReadRequest(w.r)
			if err != nil {
				return
			}
			switch r.URL.Path {
			case "/down":
				w.send("HTTP/1.1 200 OK\r\n\r\n")
				for buf := make([]byte, 256<<10); err == nil; {
					_, err = w.Write(buf)
				}
				return
			case "/up":
				_, _ = io.Copy(io.Discard, r.Body)
				return
			}
			w.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	_, addr := serve(t, newScene(primary), proxy.Options{Concurrency: 1})
	down, up := dial(t, addr), dial(t, addr)
	var busy sync.WaitGroup
	var moved atomic.Int64
	busy.Go(func() {
		down.send("GET /down HTTP/1.1\r\nHost: x\r\n\r\n")
		for buf := make([]byte, 256<<10); ; {
			n, err := down.TCPConn.Read(buf)
			if moved.Add(int64(n)); err != nil {
				return
			}
		}
	})
	busy.Go(func() {
		up.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
		for buf := make([]byte, 256<<10); ; {
			if _, err := up.Write(buf); err != nil {
				return
			}
		}
	})
	eventually(t, "the download", func() bool { return moved.Load() > 4<<20 })
	get(t, addr, 50)
	_, _ = down.Close(), up.Close()
	busy.Wait()
}
