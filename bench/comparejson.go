//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"
)

// Names of the services whose answers are compared: two versions that answer
// with JSON.
const (
	jsonFirst  = "JSON, version 1"
	jsonSecond = "JSON, version 2"
)

// jsonRoles are the two versions. What they answer is for the request's header
// x-answer to say: "equal N" is N bytes, the same ones always; in "unequal N" a
// time and an id differ in every answer, and one field between the versions.
// Without it they answer "unequal 1024".
func jsonRoles() []role {
	return []role{{jsonFirst, answeringJSON("1")}, {jsonSecond, answeringJSON("2")}}
}

// Places in an answer that are written anew, as long as what is written there.
const (
	timeForm = "2006-01-02T15:04:05.000000Z"
	idForm   = "00000000000000000000000000000000"
)

// What is asked for.
const (
	answerHeader = "x-answer"
	smallUnequal = "unequal 1024"
)

func answeringJSON(version string) func() (server, error) {
	return listen(func(c net.Conn, _ <-chan struct{}) {
		in, known := bufio.NewReader(c), map[string]*jsonAnswer{}
		for {
			wanted, err := wantedAnswer(in)
			if err != nil {
				return
			}
			a := known[wanted]
			if a == nil {
				if a, err = newJSONAnswer(wanted, version); err != nil {
					return
				}
				known[wanted] = a
			}
			a.renew()
			if _, err := c.Write(a.message); err != nil {
				return
			}
		}
	})
}

// wantedAnswer reads a request without a body.
func wantedAnswer(in *bufio.Reader) (string, error) {
	wanted := smallUnequal
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return wanted, nil
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); bytes.EqualFold(name, []byte(answerHeader)) {
			wanted = string(value)
		}
	}
}

// jsonAnswer is one answer, and where in it something varies.
type jsonAnswer struct {
	message  []byte
	time, id []byte // within message; nil: nothing varies
}

func newJSONAnswer(wanted, version string) (*jsonAnswer, error) {
	var kind string
	var size int
	if _, err := fmt.Sscan(wanted, &kind, &size); err != nil {
		return nil, err
	}
	if kind == "equal" {
		version = "1"
	}
	body := jsonBody(size, version)
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n", len(body))
	a := &jsonAnswer{message: append([]byte(head), body...)}
	if kind != "equal" {
		a.time, a.id = within(a.message, timeForm), within(a.message, idForm)
	}
	return a, nil
}

func within(message []byte, form string) []byte {
	at := bytes.Index(message, []byte(form))
	return message[at : at+len(form)]
}

func (a *jsonAnswer) renew() {
	if a.time == nil {
		return
	}
	var now [40]byte // formatting needs more than comes out
	copy(a.time, time.Now().UTC().AppendFormat(now[:0], timeForm))
	var id [len(idForm) / 2]byte
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	hex.Encode(a.id, id[:])
}

// jsonBody is a list of about so many bytes, as an API answers with.
func jsonBody(size int, version string) string {
	random := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	fmt.Fprintf(&b, `{"at":%q,"id":%q,"unit":"u%s","total":1234,"items":[`, timeForm, idForm, version)
	for i := 0; i == 0 || b.Len() < size-150; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"n":%d,"name":"Product %d","price":%d.%02d,"tags":["t%d","sale"],"stock":{"count":%d,"warehouse":"w%d"},"sku":"%016x"}`,
			i, i, random.IntN(1000), random.IntN(100), random.IntN(9), random.IntN(50), random.IntN(4), random.Uint64())
	}
	b.WriteString("]}\n")
	return b.String()
}
