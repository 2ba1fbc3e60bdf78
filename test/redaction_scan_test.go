package test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// vault makes secrets and finds them again, in whatever form they come back.
type vault struct {
	names   []string       // of the secrets
	needles map[string]int // halves of a secret in some form, in lower case: its index
	lengths []int          // of the needles
	starts  [1 << 18]uint64
}

func newVault() *vault { return &vault{needles: map[string]int{}} }

// half is how many letters of a secret suffice to know it again.
const half = 12

// text makes a secret of letters and digits, which no encoding but base64 and
// the like changes.
func (v *vault) text(name string) string {
	s := rand.Text()[:2*half]
	v.add(name, s)
	return s
}

// number makes one that fits into a JSON number.
func (v *vault) number(name string) string {
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000_000_000))
	if err != nil {
		panic(err)
	}
	s := fmt.Sprintf("4%014d", n)
	v.add(name, s)
	return s
}

func (v *vault) add(name, s string) {
	v.names = append(v.names, name)
	for _, part := range []string{s[:half], s[len(s)-half:]} {
		forms := []string{part, hex.EncodeToString([]byte(part))}
		for skip := range 3 { // wherever it begins in what base64 takes three by three
			whole := part[skip : skip+(half-skip)/3*3]
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte(whole)), base64.URLEncoding.EncodeToString([]byte(whole)))
		}
		for _, form := range forms {
			form = strings.ToLower(form)
			v.needles[form] = len(v.names) - 1
			at := trigram(form)
			v.starts[at>>6] |= 1 << (at & 63)
			if !slices.Contains(v.lengths, len(form)) {
				v.lengths = append(v.lengths, len(form))
			}
		}
	}
}

// scan returns the secrets that are in the text, plain or encoded, by their
// index, with where it is.
func (v *vault) scan(text []byte) map[int]string {
	found := map[int]string{}
	for range 3 { // as it is, and what was encoded once or twice
		v.look(bytes.ToLower(text), found)
		decoded := decode(text)
		if bytes.Equal(decoded, text) {
			break
		}
		text = decoded
	}
	return found
}

func (v *vault) look(text []byte, found map[int]string) {
	for i := 0; i+half <= len(text); i++ {
		at := trigram(text[i:])
		if v.starts[at>>6]&(1<<(at&63)) == 0 {
			continue
		}
		for _, n := range v.lengths {
			if i+n > len(text) {
				continue
			}
			if secret, ok := v.needles[string(text[i:i+n])]; ok && found[secret] == "" {
				found[secret] = fmt.Sprintf("%q", text[max(0, i-80):min(len(text), i+80)])
			}
		}
	}
}

// trigram is what three bytes are looked up by.
func trigram[T string | []byte](s T) uint32 { return uint32(s[0])<<16 | uint32(s[1])<<8 | uint32(s[2]) }

var escape = regexp.MustCompile(`\\\\|%[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|&#[0-9]{1,4};|&#[xX][0-9a-fA-F]{1,4};`)

// decode undoes what URLs, JSON, scripts and HTML write letters as.
func decode(text []byte) []byte {
	return escape.ReplaceAllFunc(text, func(e []byte) []byte {
		if string(e) == `\\` {
			return e[:1]
		}
		digits, base := strings.TrimRight(string(e), ";"), 16
		if strings.HasPrefix(digits, "&#") && !strings.ContainsAny(digits, "xX") {
			base = 10
		}
		n, err := strconv.ParseUint(strings.TrimLeft(digits, `%\&#uxX`), base, 8)
		if err != nil {
			return e // no letter or digit
		}
		return []byte{byte(n)}
	})
}

// wantNone wants none of the secrets in what has left the process.
func (v *vault) wantNone(t *testing.T, where string, text []byte) {
	t.Helper()
	found := v.scan(text)
	if len(found) == 0 {
		return
	}
	shown := 0
	for i, at := range found {
		if shown++; shown <= 3 {
			t.Errorf("%s has %d secrets, one is %s: %s", where, len(found), v.names[i], at)
		}
	}
}

// wantAll wants all of them.
func (v *vault) wantAll(t *testing.T, where string, text []byte) {
	t.Helper()
	found := v.scan(text)
	for i, name := range v.names {
		if found[i] == "" {
			t.Errorf("%s: %s is not found, nor are perhaps others: %d of %d are", where, name, len(found), len(v.names))
			return
		}
	}
}

// disguises are forms in which a secret may leave.
func disguises() map[string]func([]byte) []byte {
	each := func(format string) func([]byte) []byte {
		return func(text []byte) []byte {
			var b bytes.Buffer
			for _, c := range text {
				fmt.Fprintf(&b, format, c)
			}
			return b.Bytes()
		}
	}
	return map[string]func([]byte) []byte{
		"plain":             func(text []byte) []byte { return text },
		"upper case":        bytes.ToUpper,
		"query":             func(text []byte) []byte { return []byte(url.QueryEscape(string(text))) },
		"percent":           each("%%%02X"),
		"percent, twice":    each("%%25%02x"),
		"JSON":              each(`\u%04x`),
		"JSON in JSON":      each(`\\u%04x`),
		"script":            each(`\x%02x`),
		"HTML":              each("&#%d;"),
		"HTML, hexadecimal": each("&#x%x;"),
		"hexadecimal":       each("%02x"),
		"base64":            func(text []byte) []byte { return base64.StdEncoding.AppendEncode(nil, text) },
		"base64 of URLs":    func(text []byte) []byte { return base64.RawURLEncoding.AppendEncode(nil, text) },
	}
}

// gunzipped is the text without gzip, if it has it.
func gunzipped(text []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return text, nil //nolint:nilerr // it has no gzip
	}
	return io.ReadAll(r)
}
