package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Exit codes of the program.
const (
	exitOK    = 0
	exitError = 1 // it was understood and did not work
	exitUsage = 2 // the arguments make no sense
)

// hinted is an error with advice on what to do.
type hinted struct {
	err  error
	hint string
	code int
}

func (h *hinted) Error() string { return h.err.Error() }
func (h *hinted) Unwrap() error { return h.err }

// withHint gives err a hint line.
func withHint(err error, hint string) error { return &hinted{err: err, hint: hint, code: exitError} }

// usageError is about the arguments.
func usageError(err error, hint string) error { return &hinted{err: err, hint: hint, code: exitUsage} }

// printError prints the cause line and, if there is one, the hint line, and
// returns the exit code.
func printError(w io.Writer, err error) int {
	if code := exitCode(0); errors.As(err, &code) {
		return int(code)
	}
	_, _ = fmt.Fprintf(w, "sundog: %s\n", oneLine(err.Error()))
	if h := (*hinted)(nil); errors.As(err, &h) {
		if h.hint != "" {
			_, _ = fmt.Fprintf(w, "hint: %s\n", h.hint)
		}
		return h.code
	}
	return exitError
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// explainListen gives the errors of binding a port a hint; flag is the flag
// that would move it elsewhere.
func explainListen(err error, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "stop what listens there (maybe another sundog), or use another port with "+flag)
	case errors.Is(err, syscall.EACCES):
		return withHint(err, "use a port above 1023 with "+flag+", or give sundog the right (root, or CAP_NET_BIND_SERVICE)")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return withHint(err, "use an address of this machine with "+flag)
	}
	return err
}
