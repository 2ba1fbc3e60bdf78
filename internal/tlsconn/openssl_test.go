package tlsconn_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sundog-mesh/sundog/internal/certtest"
	"github.com/sundog-mesh/sundog/internal/loop"
	"github.com/sundog-mesh/sundog/internal/tlsconn"
)

// tool finds a program, or says what is not tested without it.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("NOT TESTED: %s is not installed", name)
	}
	return path
}

// write puts content into a file.
func write(t *testing.T, name, content string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(at, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// process is a program with its input and output.
type process struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func run(t *testing.T, name string, args ...string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, name), args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = r.Close()
	})
	return &process{in, bufio.NewReader(r)}
}

// until reads lines up to one that contains want.
func (p *process) until(t *testing.T, want string) {
	t.Helper()
	var all bytes.Buffer
	for {
		line, err := p.out.ReadString('\n')
		all.WriteString(line)
		if strings.Contains(line, want) {
			return
		}
		if err != nil {
			t.Errorf("%q did not come: %v, after:\n%s", want, err, all.String())
			return
		}
	}
}

func (p *process) say(t *testing.T, s string) {
	t.Helper()
	if _, err := io.WriteString(p.in, s); err != nil {
		t.Fatal(err)
	}
}

func TestOpenSSLClient(t *testing.T) {
	ca := certtest.NewCA()
	caFile := write(t, "ca.PEM", ca.PEM)
	for kind, p := range map[string]certtest.Pair{"EC": ca.Issue("a.example"), "RSA": ca.IssueRSA("a.example")} {
		t.Run(kind, func(t *testing.T) {
			addr := echoTLS(t, start(t), compileServer(t, downstream(p)), nil)
			args := []string{"s_client", "-connect", addr.String(), "-servername", "a.example", "-CAfile", caFile, "-verify_return_error"}
			c := run(t, "openssl", append(args, "-tls1_3")...)
			c.say(t, "one two three\n")
			c.until(t, "one two three")
			for i := range 20 { // the keys are changed, by both sides
				c.say(t, "K\n")
				c.until(t, "KEYUPDATE")
				c.say(t, fmt.Sprintf("after update %d\n", i))
				c.until(t, fmt.Sprintf("after update %d", i))
			}
			c = run(t, "openssl", append(args, "-tls1_2")...)
			c.say(t, "hello\n")
			c.until(t, "hello")
			c.say(t, "R\n")                  // renegotiation
			c.until(t, "unexpected message") // the alert
		})
	}
}

func TestCurl(t *testing.T) {
	ca := certtest.NewCA()
	l := start(t)
	s := compileServer(t, downstream(ca.IssueRSA("127.0.0.1")))
	body := payload(3 << 20)
	addr := serve(t, l, func(task *loop.Task, c *loop.Conn) {
		defer c.Close()
		if _, err := s.Handshake(task, c); err != nil {
			t.Error(err)
			return
		}
		for !bytes.Contains(c.In(), []byte("\r\n\r\n")) {
			if n, err := c.Fill(); err != nil || n == 0 && task.Park() != nil {
				return
			}
		}
		c.Write([]byte("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"))
		c.Write(body)
		c.CloseSend()
		drain(task, c)
	})
	out, err := exec.CommandContext(t.Context(), tool(t, "curl"), "-sS", "--cacert", write(t, "ca.PEM", ca.PEM), "https://"+addr.String()+"/").Output()
	if err != nil || !bytes.Equal(out, body) {
		t.Errorf("curl got %d bytes of %d: %v", len(out), len(body), err)
	}
}

func TestOpenSSLServer(t *testing.T) {
	ca := certtest.NewCA()
	p := ca.IssueRSA("a.example")
	cert, key := write(t, "cert.pem", p.Cert), write(t, "key.pem", p.Key)
	l, cl := start(t), compileClient(t, upstream(ca, nil))
	serverAt := func(version string) (*process, *net.TCPAddr) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := ln.Addr().(*net.TCPAddr)
		_ = ln.Close()
		s := run(t, "openssl", "s_server", "-accept", "127.0.0.1:"+strconv.Itoa(addr.Port), "-cert", cert, "-key", key, version)
		s.until(t, "ACCEPT")
		return s, addr
	}
	s, addr := serverAt("-tls1_3")
	on(t, l, func(task *loop.Task) {
		c, err := connect(task, cl, addr.AddrPort(), "a.example")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for i := range 10 {
			c.Write(fmt.Appendf(nil, "ping %d\n", i))
			_ = task.Offload(func() {
				s.until(t, fmt.Sprintf("ping %d", i))
				s.say(t, "K\n")
			})
			c.Write(fmt.Appendf(nil, "pang %d\n", i)) // s_server looks at its commands first
			_ = task.Offload(func() {
				s.until(t, fmt.Sprintf("pang %d", i))
				s.say(t, fmt.Sprintf("pong %d\n", i))
			})
			for !bytes.Contains(c.In(), []byte("\n")) {
				n, err := c.Fill()
				if err != nil {
					t.Errorf("ping %d: %v", i, err)
					return
				}
				if n == 0 && task.Park() != nil {
					return
				}
			}
			if want := fmt.Sprintf("pong %d\n", i); string(c.In()) != want {
				t.Errorf("got %q, want %q", c.In(), want)
			}
			c.Consume(len(c.In()))
		}
	})
	s, addr = serverAt("-tls1_2")
	on(t, l, func(task *loop.Task) {
		c, err := connect(task, cl, addr.AddrPort(), "a.example")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		c.Write([]byte("before\n"))
		_ = task.Offload(func() {
			s.until(t, "before")
			s.say(t, "r\n") // HelloRequest
		})
		err = read(task, c)
		if info, _ := tlsconn.State(c); err == nil || !strings.Contains(err.Error(), "renegotiation") || info.ALPN != "" {
			t.Errorf("renegotiation: %v", err)
		}
	})
}
