//go:build unix

package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNobody says that no process serves the path: there is nothing to take
// over.
var ErrNobody = errors.New("handover: nobody is there to take over from")

// patience is how long either side waits for the other's next word.
const patience = 10 * time.Second

// perMessage is how many descriptors one message carries; Linux allows 253.
const perMessage = 64

// Taken are the sockets of the process that is to be replaced.
type Taken struct {
	// Files holds the listening sockets by the address that they were asked to
	// listen on, "0.0.0.0:80". The caller closes them once they are in use.
	Files map[string]*os.File
	conn  *net.UnixConn
}

// Take asks the process that serves path for its listening sockets. ErrNobody:
// there is none.
func Take(ctx context.Context, path string) (*Taken, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNobody
	case err != nil:
		return nil, fmt.Errorf("taking over through %s: %w", path, err)
	}
	t := &Taken{Files: map[string]*os.File{}, conn: nc.(*net.UnixConn)}
	if err := t.receive(); err != nil {
		t.Close()
		return nil, fmt.Errorf("taking over through %s: %w", path, err)
	}
	return t, nil
}

// parcel announces the sockets that come with it.
type parcel struct {
	Addresses []string
	More      bool // another one follows
}

func (t *Taken) receive() error {
	for {
		if err := t.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		body := make([]byte, 64<<10)
		rights := make([]byte, unix.CmsgSpace(4*perMessage))
		n, rn, flags, _, err := t.conn.ReadMsgUnix(body, rights)
		if err != nil {
			return err
		}
		files, err := filesOf(rights[:rn])
		if err != nil {
			return err
		}
		var p parcel
		err = json.Unmarshal(body[:n], &p)
		if err == nil && (len(p.Addresses) != len(files) || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0) {
			err = errors.New("a message was cut short")
		}
		if err != nil {
			for _, f := range files {
				err = errors.Join(err, f.Close())
			}
			return err
		}
		for i, a := range p.Addresses {
			t.Files[a] = files[i]
		}
		if !p.More {
			return t.conn.SetReadDeadline(time.Time{})
		}
	}
}

func filesOf(rights []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	for _, m := range messages {
		fds, e := unix.ParseUnixRights(&m)
		err = errors.Join(err, e)
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			files = append(files, os.NewFile(uintptr(fd), "listener"))
		}
	}
	return files, err
}

// Sockets are the Files; nil for a nil Taken.
func (t *Taken) Sockets() map[string]*os.File {
	if t == nil {
		return nil
	}
	return t.Files
}

// Ready says that the sockets are in use, and waits until the process that had
// them knows. After that the path is the caller's to Serve.
func (t *Taken) Ready() error {
	defer t.Close()
	if err := t.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := t.conn.Write([]byte{ready}); err != nil {
		return fmt.Errorf("handover: telling the old process: %w", err)
	}
	var b [1]byte
	if _, err := t.conn.Read(b[:]); err != nil {
		return fmt.Errorf("handover: the old process has not answered: %w", err)
	}
	return nil
}

// Close gives the takeover up, if it is not Ready, and closes what is left of
// Files.
func (t *Taken) Close() {
	_ = t.conn.Close()
	for _, f := range t.Files {
		_ = f.Close() // closed already where it is in use
	}
}

const ready = 'r'
