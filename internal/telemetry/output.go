package telemetry

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// output is one file with what waits to be written to it. Event loops add,
// Run's goroutine alone takes and writes.
type output struct {
	mu      sync.Mutex
	pending []byte

	path    string
	spare   []byte
	w       io.Writer
	file    *os.File // nil: w is not ours to close
	failing bool
}

// add appends line and returns how much is pending then; -1 means that it had
// no room.
func (o *output) add(line []byte, most int) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending)+len(line) > most {
		return -1
	}
	o.pending = append(o.pending, line...)
	return len(o.pending)
}

// take returns what is pending; it is valid until the next take.
func (o *output) take() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.pending
	o.pending, o.spare = o.spare[:0], taken
	return taken
}

// open opens the file of an access logger, to append.
func (l *AccessLog) open(path string) (*output, error) {
	o := &output{path: path}
	switch {
	case path == "/dev/stdout" && l.opt.Stdout != nil:
		o.w = l.opt.Stdout
	case path == "/dev/stderr" && l.opt.Stderr != nil:
		o.w = l.opt.Stderr
	default:
		if err := o.openFile(); err != nil {
			return nil, fmt.Errorf("opening the access log: %w", err)
		}
	}
	return o, nil
}

func (o *output) openFile() error {
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if o.file != nil {
		_ = o.file.Close() // what was written to it is with the kernel already
	}
	o.file, o.w = f, f
	return nil
}

// flush writes what is pending, and reopens the files if that was asked for.
// It runs on Run's goroutine only.
func (l *AccessLog) flush() {
	l.mu.Lock()
	outs := make([]*output, 0, len(l.outputs))
	for _, o := range l.outputs {
		outs = append(outs, o)
	}
	reopen := l.reopen
	l.reopen = false
	l.mu.Unlock()
	for _, o := range outs {
		if lines := o.take(); len(lines) > 0 {
			_, err := o.w.Write(lines)
			l.report(o, "writing the access log failed; its lines are lost", err)
		}
		if reopen && o.file != nil {
			l.report(o, "opening the access log again failed; the old file is kept", o.openFile())
		}
	}
}

// report counts a failure, and logs the first of a row.
func (l *AccessLog) report(o *output, what string, err error) {
	if err == nil {
		o.failing = false
		return
	}
	l.failed.Add(1)
	if !o.failing {
		l.opt.Logger.Error(what, "path", o.path, "error", err)
	}
	o.failing = true
}

func (l *AccessLog) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.outputs {
		if o.file != nil {
			_ = o.file.Close() // every write's error was told
		}
	}
}
