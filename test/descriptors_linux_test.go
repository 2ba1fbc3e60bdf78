package test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"
)

// When clients have taken all descriptors, sundog waits until they give some
// back; it does not end.
func TestRunningOutOfDescriptors(t *testing.T) {
	const limit = 64
	sh := needProgram(t, "sh", "dash")
	primary, shadow := serve(t, "primary"), serve(t, "shadow")
	p := start(t, exec.Command(sh, "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit), os.Getenv(binaryVariable),
		"mirror", "--listen", "127.0.0.1:0", "--admin", "", "--primary", "http://"+primary.address, "--shadow", "http://"+shadow.address))
	address := p.listener("127.0.0.1_0")
	conns := make([]net.Conn, 2*limit)
	for i := range conns {
		c, err := net.Dial("tcp", address) // the kernel takes what sundog does not
		must(t, err)
		conns[i] = c
		t.Cleanup(func() { _ = c.Close() })
	}
	eventually(t, "all descriptors are taken", func() bool {
		n, err := descriptors(p.cmd.Process)
		must(t, err)
		return n >= limit
	})
	for _, c := range conns {
		_ = c.Close()
	}
	send(t, client(t, ""), 20, "primary", get(t, "http://"+address+"/"))
	p.stop()
}
