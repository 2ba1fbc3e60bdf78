package test

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what should come at once.
const patience = 30 * time.Second

// output keeps what a process writes and wakes those who wait for it.
type output struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // closed by the next write
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, p...)
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return len(p), nil
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return string(o.text), o.more
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// process is a child of the tests: a sundog, or a peer of it.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, err output
	done     chan struct{} // closed when it has ended
	dial     dialFunc      // reaches its network
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	for _, arg := range cmd.Args {
		if strings.HasPrefix(arg, "../") {
			lookAt(t, arg)
		}
	}
	for _, sources := range []string{"../cmd", "../internal", "../examples", "../go.mod"} {
		lookAt(t, sources)
	}
	p := &process{t: t, cmd: cmd, done: make(chan struct{}), dial: (&net.Dialer{}).DialContext}
	cmd.Stdout, cmd.Stderr = &p.out, &p.err
	cmd.SysProcAttr = ownGroup()
	cmd.WaitDelay = 5 * time.Second
	must(t, cmd.Start())
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // the state says how it ended
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("stderr of %v:\n%s", cmd.Args, tail(p.err.String(), 4000))
		}
	})
	return p
}

// lookAt walks a file or folder. go test repeats a result from its cache while
// nothing that a test looked at has changed, and the binary is not a part of
// the test: without this a changed proxy would still have passed.
func lookAt(t *testing.T, root string) {
	t.Helper()
	must(t, filepath.WalkDir(root, func(_ string, _ fs.DirEntry, err error) error { return err }))
}

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// sundog starts the binary under test.
func sundog(t *testing.T, args ...string) *process {
	t.Helper()
	return start(t, exec.Command(os.Getenv(binaryVariable), args...))
}

// kill ends the process at once, with its children.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		killGroup(p.cmd.Process)
		<-p.done
	}
}

// terminate tells the process to end.
func (p *process) terminate() {
	p.t.Helper()
	must(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
}

// wait waits for the end of the process and returns its exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%v does not end", p.cmd.Args)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop ends the process as an operator does, and wants it to end well.
func (p *process) stop() {
	p.t.Helper()
	p.terminate()
	if code := p.wait(); code != 0 {
		p.t.Errorf("%v: exit code %d after SIGTERM", p.cmd.Args, code)
	}
}

// find waits until what the process writes has a match, and returns its last
// group.
func (p *process) find(o *output, pattern string) string {
	p.t.Helper()
	re, limit := regexp.MustCompile(pattern), time.After(patience)
	for {
		text, more := o.read()
		if m := re.FindStringSubmatch(text); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-more:
		case <-p.done:
			if text, _ := o.read(); !re.MatchString(text) {
				p.t.Fatalf("%v ended (%v) without %s:\n%s", p.cmd.Args, p.cmd.ProcessState, pattern, text)
			}
		case <-limit:
			p.t.Fatalf("%v: no %s in:\n%s", p.cmd.Args, pattern, text)
		}
	}
}

// listener is the address that a sundog's listener is bound to.
func (p *process) listener(name string) string {
	p.t.Helper()
	return p.find(&p.err, `msg=listening listener=`+regexp.QuoteMeta(name)+` address=(\S+)`)
}

// get asks a sundog's admin interface.
func (p *process) get(path string) (status int, body []byte) {
	p.t.Helper()
	address := p.find(&p.err, `msg="admin interface" address=(\S+)`)
	c := &http.Client{Transport: &http.Transport{DialContext: p.dial, DisableKeepAlives: true}, Timeout: patience}
	resp, err := c.Get("http://" + address + path)
	must(p.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	must(p.t, err)
	return resp.StatusCode, body
}

func (p *process) getJSON(path string, into any) {
	p.t.Helper()
	status, body := p.get(path)
	if status != http.StatusOK {
		p.t.Fatalf("GET %s: %d %s", path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		p.t.Fatalf("GET %s: %v in %s", path, err, body)
	}
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for limit := time.After(patience); !ok(); {
		select {
		case <-again.C:
		case <-limit:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
