package redact

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// MinKey is how many bytes a key has at least.
const MinKey = 16

// Redactor is a policy's redaction, compiled. It is safe for concurrent use.
// A nil Redactor redacts nothing.
type Redactor struct {
	inner, outer [sha256.BlockSize]byte // the key's pads (RFC 2104)

	headers []string
	cookies []string
	query   []string
	json    jsonPaths
}

// Scratch is memory to redact in. Its zero value is ready; one goroutine, or
// one loop, uses it at a time. It serves any number of Redactors.
type Scratch struct {
	head    traffic.Head
	buf     []byte // a field's new value
	value   []byte // a value, decoded
	name    []byte // a name, decoded
	number  []byte // a number in its shortest form
	mac     macScratch
	states  []int32 // of JSON paths, one frame for each level
	plain   []byte  // a body, decompressed
	out     []byte  // a body, redacted, to be compressed
	codecs  codecs
	secrets memory
}

type macScratch struct {
	hash hash.Hash
	sum  [sha256.Size]byte
	tag  [1]byte
	text [textLen]byte
}

// New compiles what a policy says. key is secret, and the same in all processes
// whose pseudonyms are to agree; it has at least MinKey bytes. New returns nil
// where nothing is to be redacted.
func New(p policy.Redact, key []byte) (*Redactor, error) {
	if p.Empty() {
		return nil, nil //nolint:nilnil // nil is a Redactor that redacts nothing
	}
	if len(key) < MinKey {
		return nil, fmt.Errorf("redact: the key has %d bytes; it needs %d or more, so that nobody can guess it", len(key), MinKey)
	}
	r := &Redactor{cookies: p.Cookies, query: p.Query}
	for _, name := range p.Headers {
		if err := checkHeader(name); err != nil {
			return nil, err
		}
		r.headers = append(r.headers, strings.ToLower(name))
	}
	for kind, names := range map[string][]string{"cookies": p.Cookies, "query": p.Query} {
		for _, name := range names {
			if name == "" {
				return nil, fmt.Errorf("redact.%s: a name is empty", kind)
			}
		}
	}
	if err := r.json.compile(p.JSON); err != nil {
		return nil, err
	}
	r.pads(key)
	return r, nil
}

// checkHeader refuses fields without which a message is another one.
func checkHeader(name string) error {
	switch lower := strings.ToLower(name); lower {
	case "":
		return errors.New("redact.headers: a name is empty")
	case "host", "content-length", "content-type", "content-encoding", "transfer-encoding",
		"connection", "keep-alive", "te", "trailer", "upgrade", "expect":
		return fmt.Errorf("redact.headers: %s cannot be redacted: the message would no longer be understood", lower)
	default:
		if strings.ContainsAny(lower, ": \t\r\n") {
			return fmt.Errorf("redact.headers: %q is no name of a header", name)
		}
	}
	return nil
}

// Secret is the pseudonym of one value, for whoever shows values outside of
// messages. It is what the value becomes anywhere in a message.
func (r *Redactor) Secret(v []byte) []byte {
	if r == nil {
		return bytes.Clone(v)
	}
	return r.AppendSecret(new(Scratch), nil, v)
}

// AppendSecret appends what Secret returns.
func (r *Redactor) AppendSecret(s *Scratch, dst, v []byte) []byte {
	if r == nil {
		return append(dst, v...)
	}
	return r.token(s, dst, v)
}
