package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible makes a value that somebody sent safe to show: what would move a
// cursor, break a line, reverse the text or hide in it is shown by its number.
func visible(s string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case hidden(r) && r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case hidden(r) && r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// mostName is how many characters of a name are shown.
const mostName = 200

// name is visible for what is short by its nature: names of fields, clusters,
// routes, paths.
func name(s string) string { return cut(visible(cut(s, 4*mostName)), mostName) }

func plain(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// hidden are control and format characters (directions, zero widths, tags),
// line separators, and what is not assigned or private.
func hidden(r rune) bool {
	return r != ' ' && !unicode.IsPrint(r)
}

// lines is visible for a text of several lines, which it keeps.
func lines(s string) string {
	all := strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	for i, l := range all {
		all[i] = strings.ReplaceAll(visible(l), `\t`, "    ")
	}
	return strings.Join(all, "\n")
}

// cut shortens s to n characters, the last of them "…"; n below 1: not at all.
func cut(s string, n int) string {
	if n < 1 || utf8.RuneCountInString(s) <= n {
		return s
	}
	for i := range s {
		if n--; n == 0 {
			return s[:i] + "…"
		}
	}
	return s
}
