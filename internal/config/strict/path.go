package strict

import "strings"

// At returns the place of the field at a path ("spec.http[0].mirror.host"), or
// of its nearest known parent. Fields that the user wrote with the snake_case
// names of the protobuf are found by their lowerCamelCase names.
func (n *Node) At(path string) Place {
	if path == "" {
		return n.Place
	}
	return n.Places().At(path)
}

// KeyPath is the path of what a map field holds under a key: parent.key, or
// parent["key"] if the key is not a plain word.
func KeyPath(parent, key string) string {
	plain := key != ""
	for i := range len(key) {
		c := key[i]
		plain = plain && (c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}
	if plain {
		return parent + "." + key
	}
	return parent + `["` + key + `"]`
}

type segment struct {
	name  string
	index int // -1 for a name
}

// segments cuts a path at its dots and brackets.
func segments(path string) func(yield func(segment) bool) {
	return func(yield func(segment) bool) {
		for path != "" {
			var seg segment
			switch {
			case strings.HasPrefix(path, `["`):
				name, rest, _ := strings.Cut(path[2:], `"]`)
				seg, path = segment{name, -1}, rest
			case path[0] == '[':
				digits, rest, _ := strings.Cut(path[1:], "]")
				seg, path = segment{"", 0}, rest
				for _, d := range digits {
					if d < '0' || d > '9' || seg.index > 1<<24 {
						return
					}
					seg.index = seg.index*10 + int(d-'0')
				}
			default:
				path = strings.TrimPrefix(path, ".")
				end := strings.IndexAny(path, ".[")
				if end < 0 {
					end = len(path)
				}
				seg, path = segment{path[:end], -1}, path[end:]
			}
			if !yield(seg) {
				return
			}
		}
	}
}

// camel turns snake_case into the lowerCamelCase that protobuf's JSON has.
func camel(name string) string {
	var b strings.Builder
	up := false
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_':
			up = true
			continue
		case up && c >= 'a' && c <= 'z':
			c -= 'a' - 'A'
		}
		up = false
		b.WriteByte(c)
	}
	return b.String()
}
