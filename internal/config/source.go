package config

// Source knows where the fields of one object stand in the user's files.
type Source struct{ Position }

// At returns the position of the field, or of its nearest known parent.
func (s *Source) At(field string) Position {
	if s == nil {
		return Position{}
	}
	return s.Position
}
