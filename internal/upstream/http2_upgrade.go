package upstream

import (
	"errors"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// errNoConnect is for an endpoint that does not offer what its cluster allows.
var errNoConnect = errors.New("upstream: the endpoint does not take extended CONNECT")

// ask sends the upgrade that waits for the endpoint's SETTINGS: only they say
// whether it takes extended CONNECT (RFC 8441, section 3). It is Connected.
func (s *stream2) ask() (bool, error) {
	settled, connect := s.conn.h2.Settled()
	switch {
	case s.conn.err != nil:
		return false, s.conn.err
	case s.stream.Err() != nil:
		return false, s.stream.Err()
	case !settled:
		return false, nil
	case !connect:
		return false, errNoConnect
	}
	s.asking.Del("sec-websocket-key") // not used (RFC 8441, section 5)
	s.stream.SendUpgrade(s.asking)
	s.sent = true
	return true, nil
}

// switched makes the answer what it would be over HTTP/1.1.
func (s *stream2) switched(h *traffic.Head) {
	protocol, _ := s.asking.Get("upgrade")
	h.Status = 101
	h.Add("connection", []byte("upgrade"))
	h.Add("upgrade", protocol)
}
