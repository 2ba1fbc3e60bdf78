package config

import "github.com/sundog-mesh/sundog/internal/config/strict"

// Source knows where the fields of one object stand in the user's files. The
// embedded Position is that of the object itself.
type Source struct {
	Position
	places *strict.Places
	lines  int // that the text has moved down since they were taken
}

// At returns the position of the field ("spec.http[0].mirror.host"), or of its
// nearest known parent. Fields that the user wrote with the snake_case names of
// the protobuf are found by their lowerCamelCase names.
func (s *Source) At(field string) Position {
	if s == nil {
		return Position{}
	}
	if s.places == nil {
		return s.Position
	}
	return position(s.File, s.places.At(field)).moved(s.File, s.lines)
}

// moved is the Source of the same text elsewhere, lines further down.
func (s *Source) moved(file string, lines int) *Source {
	return &Source{s.Position.moved(file, lines), s.places, s.lines + lines}
}

func position(file string, p strict.Place) Position { return Position{file, p.Line, p.Column} }

// KeyPath is the path of what a map field holds under a key: parent.key, or
// parent["key"] if the key is not a plain word.
func KeyPath(parent, key string) string { return strict.KeyPath(parent, key) }
