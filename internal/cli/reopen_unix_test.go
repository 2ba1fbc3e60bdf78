//go:build unix

package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSignalReopensTheAccessLog(t *testing.T) {
	primary, _ := service(t, "primary")
	file := filepath.Join(t.TempDir(), "access.log")
	p := start(t, "mirror", "--listen", "127.0.0.1:0", "--primary", "http://"+primary, "--shadow", "http://"+primary,
		"--admin", "", "--access-log", file)
	target, c := "http://"+p.address("127.0.0.1_0"), client(t, "")
	get(t, c, target+"/before")
	must(t, os.Rename(file, file+".1"))
	must(t, syscall.Kill(os.Getpid(), syscall.SIGUSR1))
	p.find(&p.err, "opening the access logs again")
	get(t, c, target+"/after")
	if code := p.exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	fresh, err := os.ReadFile(file)
	must(t, err)
	old, err := os.ReadFile(file + ".1")
	must(t, err)
	if all := string(old) + string(fresh); strings.Count(all, "/before") != 1 || strings.Count(all, "/after") != 1 {
		t.Errorf("the old file has %q, the new one %q", old, fresh)
	}
}
