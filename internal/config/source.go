package config

import "github.com/sundog-mesh/sundog/internal/config/strict"

// Source knows where the fields of one object stand in the user's files. The
// embedded Position is that of the object itself.
type Source struct {
	Position
	root *strict.Node
}

// At returns the position of the field ("spec.http[0].mirror.host"), or of its
// nearest known parent. Fields that the user wrote with the snake_case names of
// the protobuf are found by their lowerCamelCase names.
func (s *Source) At(field string) Position {
	if s == nil {
		return Position{}
	}
	if s.root == nil {
		return s.Position
	}
	return position(s.File, s.root.At(field))
}

func position(file string, p strict.Place) Position { return Position{file, p.Line, p.Column} }

// KeyPath is the path of what a map field holds under a key: parent.key, or
// parent["key"] if the key is not a plain word.
func KeyPath(parent, key string) string { return strict.KeyPath(parent, key) }
