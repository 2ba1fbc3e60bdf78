package judge

import (
	"strings"
	"unicode"

	"github.com/sundog-mesh/sundog/internal/compare"
)

// nameSort is which sort of names of instances a value may be.
type nameSort uint8

const (
	noName  nameSort = iota
	aTime            // when something began or was built
	aLabel           // which machine, process, build or version it is
	anyText          // says nothing by itself; may be one where the field says so
)

// longestName is how many bytes a name has at most. A host name has at most 253
// (RFC 1035, 2.3.4), but those that anybody gives to instances are shorter.
const longestName = 128

// nameOf tells by its looks whether a value may name an instance: a time, a
// UUID, an IP address, a token, a version or the name of a host. Numbers (but for
// those that are times), booleans, null, words, texts, amounts, paths and all that is
// empty or long are none: they mean something.
func nameOf(v *compare.Value) nameSort {
	s := v.Text
	if v.Cut || s == "" || len(s) > longestName || v.Type != compare.String && v.Type != compare.Number {
		return noName
	}
	kind := compare.Classify(*v).Kind()
	switch {
	case kind == compare.FormatTimestamp:
		return aTime
	case v.Type == compare.Number:
		return noName
	case kind == compare.FormatUUID, kind == compare.FormatIP, isVersion(s), isHost(s), kind == compare.FormatToken && isToken(s):
		return aLabel
	case kind == compare.FormatBool, kind == compare.FormatInteger, kind == compare.FormatFloat, strings.ContainsFunc(s, unicode.IsControl):
		return noName
	}
	return anyText
}

// isVersion reads "v2", "1.4.2", "v1.4.2-rc.1+7" and "nginx/1.25". Two numbers
// without a "v" are an amount.
func isVersion(s string) bool {
	product, version, ok := strings.Cut(s, "/")
	if !ok {
		product, version = "", s
	} else if product == "" || !all(product, func(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' || c == '_' || c == '.' }) {
		return false
	}
	if at := strings.IndexAny(version, "-+"); at >= 0 {
		if !all(version[at:], func(c byte) bool { return isLetter(c) || isDigit(c) || strings.IndexByte("-+._~", c) >= 0 }) {
			return false
		}
		version = version[:at]
	}
	digits, v := strings.CutPrefix(version, "v")
	parts := strings.Split(digits, ".")
	for _, p := range parts {
		if p == "" || len(p) > 8 || !all(p, isDigit) {
			return false
		}
	}
	return v || len(parts) >= 3 || product != "" && len(parts) >= 2
}

// isHost reads names of hosts and pods, maybe with a port: labels of lower-case
// letters, digits and "-" (RFC 1123, 2.1), which begin with a letter and have both a
// digit and a letter, or three labels or more. "ok", "web" and "orders.created" are
// words.
func isHost(s string) bool {
	if at := strings.LastIndexByte(s, ':'); at >= 0 {
		if at == len(s)-1 || len(s)-at > 6 || !all(s[at+1:], isDigit) {
			return false
		}
		s = s[:at]
	}
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	labels, digits := 0, false
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			switch {
			case isDigit(c):
				digits = true
			case c != '-' && (c < 'a' || c > 'z'):
				return false
			}
		}
		labels++
	}
	return digits || labels >= 3
}

// isToken reports whether a token has none of the punctuation that amounts, paths,
// lists and directives have.
func isToken(s string) bool {
	return all(s, func(c byte) bool { return isLetter(c) || isDigit(c) || strings.IndexByte("-_+=~", c) >= 0 }) &&
		strings.ContainsFunc(s, unicode.IsDigit) && strings.IndexByte(strings.TrimRight(s, "="), '=') < 0
}

// meaningful reports whether a field says what the answer is, whatever its
// value looks like.
func meaningful(field string) bool {
	switch field {
	case "status", "header.location", "header.allow", "header.link", "header.vary", "header.retry-after", "header.www-authenticate":
		return true
	}
	return strings.HasPrefix(field, "trailer.grpc-") || strings.HasPrefix(field, "header.content-") ||
		strings.HasPrefix(field, "header.access-control-")
}

// naming reports whether a field's name says that its values name an instance:
// the last word of it, or the one before an "id", "name" and the like.
func naming(field string) bool {
	words := lastWords(field)
	if words[1] == "" {
		return false
	}
	switch words[0] + " " + words[1] {
	case "served by", "powered by", "started at", "start time", "boot time", "build time", "build date", "built at":
		return true
	}
	last := words[1]
	switch last {
	case "id", "name", "number":
		last = words[0]
	}
	switch last {
	case "host", "hostname", "instance", "pod", "node", "server", "machine", "container", "replica", "worker",
		"build", "version", "revision", "commit", "sha", "release", "boot":
		return true
	}
	return false
}

// lastWords are the last two words of a field's own name, in lower case:
// "body.meta.buildId" ends in "build", "id".
func lastWords(field string) [2]string {
	if at := strings.LastIndexByte(field, '.'); at >= 0 {
		field = field[at+1:]
	}
	var words [2]string
	start, lower := true, false
	for _, c := range []byte(field) {
		if !isLetter(c) && !isDigit(c) {
			start, lower = true, false
			continue
		}
		if upper := c >= 'A' && c <= 'Z'; upper && lower {
			start = true
		}
		if start {
			words[0], words[1], start = words[1], "", false
		}
		lower = c >= 'a' && c <= 'z'
		words[1] += strings.ToLower(string(rune(c)))
	}
	return words
}

// sameButHost reports whether both are URLs of the same thing on different hosts.
func sameButHost(a, b string) bool {
	schemeA, a, okA := strings.Cut(a, "://")
	schemeB, b, okB := strings.Cut(b, "://")
	if !okA || !okB || schemeA != schemeB || schemeA != "http" && schemeA != "https" {
		return false
	}
	at, bt := strings.IndexAny(a+"/", "/?#"), strings.IndexAny(b+"/", "/?#")
	return at > 0 && bt > 0 && a[at:] == b[bt:]
}

func all(s string, ok func(c byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// names reports whether a pair of differing values may be the names of two
// instances: both of one sort.
func names(field string, a, b *compare.Value) bool {
	x, y := nameOf(a), nameOf(b)
	if x == noName || y == noName || meaningful(field) {
		return false
	}
	if sameButHost(a.Text, b.Text) {
		return true
	}
	if naming(field) {
		return (x == aTime) == (y == aTime)
	}
	return x == y && x != anyText
}
