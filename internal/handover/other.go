//go:build !unix

package handover

import (
	"context"
	"errors"
	"os"
)

// ErrNobody says that no process serves the path: there is nothing to take
// over.
var ErrNobody = errors.New("handover: nobody is there to take over from")

// Taken are the sockets of the process that is to be replaced.
type Taken struct{ Files map[string]*os.File }

// Take is for Unix only.
func Take(context.Context, string) (*Taken, error) { return nil, errors.ErrUnsupported }

// Sockets is for Unix only.
func (t *Taken) Sockets() map[string]*os.File { return nil }

// Ready is for Unix only.
func (t *Taken) Ready() error { return errors.ErrUnsupported }

// Close is for Unix only.
func (t *Taken) Close() {}

// Serve is for Unix only.
func Serve(context.Context, string, func() (map[string]*os.File, error)) (bool, error) {
	return false, errors.ErrUnsupported
}
