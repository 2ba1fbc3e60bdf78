package compare

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// pathStep is one step of the walk.
type pathStep struct {
	kind  walkKind
	name  []byte // as it stands in a tree
	text  string // if name is nil
	index int32
}

type walkKind uint8

const (
	walkName  walkKind = iota
	walkKey            // a name that is data: * in Field
	walkIndex          // an element of an array
	walkNth            // one of several of the same name: only in At
)

func (c *Comparer) enter(name string) { c.path = append(c.path, pathStep{text: name}) }

func (c *Comparer) pop() { c.path = c.path[:len(c.path)-1] }

func (s *pathStep) appendName(dst []byte) []byte {
	if s.name == nil {
		return appendName(dst, s.text)
	}
	return appendName(dst, s.name)
}

// appendField writes the path without what varies.
func (c *Comparer) appendField(dst []byte) []byte {
	for i := range c.path {
		switch s := &c.path[i]; s.kind {
		case walkName:
			dst = s.appendName(dst)
		case walkKey:
			dst = append(dst, ".*"...)
		case walkIndex:
			dst = append(dst, "[]"...)
		}
	}
	return dst
}

// appendAt writes the path of this very place.
func (c *Comparer) appendAt(dst []byte) []byte {
	for i := range c.path {
		switch s := &c.path[i]; s.kind {
		case walkName, walkKey:
			dst = s.appendName(dst)
		case walkIndex, walkNth:
			dst = append(dst, '[')
			dst = strconv.AppendInt(dst, int64(s.index), 10)
			dst = append(dst, ']')
		}
	}
	return dst
}

// record counts a difference at the path of the walk. It returns it where it
// is the first of its kind, for its values.
func (c *Comparer) record(k Kind) *Difference {
	c.field = append(c.appendField(c.field[:0]), byte(k))
	h := xxhash.Sum64(c.field)
	if i, ok := c.hashes[h]; ok {
		if i >= 0 {
			c.found[i].Count++
		}
		return nil
	}
	if len(c.found) >= c.opts.MaxDifferences {
		c.hashes[h] = -1
		c.more++
		return nil
	}
	c.hashes[h] = int32(len(c.found))
	c.found = append(c.found, Difference{
		Field: string(c.field[:len(c.field)-1]),
		At:    string(c.appendAt(nil)),
		Kind:  k,
		Count: 1,
	})
	return &c.found[len(c.found)-1]
}

// maxText is how much of a value is kept.
const maxText = 256

// textValue makes a value of text.
func textValue(t Type, text []byte) Value {
	cut := len(text) > maxText
	if cut {
		end := maxText
		for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	s := spelled(text)
	if len(s) > maxText { // what stands for a byte is longer
		s, cut = strings.ToValidUTF8(s[:maxText], ""), true
	}
	return Value{Type: t, Text: s, Cut: cut}
}

// spelled writes bytes that are no UTF-8 by their numbers, so that texts which
// differ in them alone are not shown as the same.
func spelled(text []byte) string {
	if utf8.Valid(text) {
		return string(text)
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 {
			b.WriteString(`\x`)
			b.WriteByte("0123456789abcdef"[text[0]>>4])
			b.WriteByte("0123456789abcdef"[text[0]&15])
		} else {
			b.Write(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

func numberValue(n int64) Value {
	return Value{Type: Number, Text: strconv.FormatInt(n, 10)}
}

// bytesValue describes bytes by their digest. size may be more than there are; -1: unknown.
func bytesValue(b []byte, size int64) Value {
	sum := sha256.Sum256(b)
	of := "bytes"
	if size != int64(len(b)) {
		of = "of " + strconv.FormatInt(size, 10) + " bytes"
		if size < 0 {
			of = "of more bytes"
		}
	}
	return Value{Type: Bytes, Text: fmt.Sprintf("%d %s, sha256 %s", len(b), of, hex.EncodeToString(sum[:8]))}
}
