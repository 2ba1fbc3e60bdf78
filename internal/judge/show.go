package judge

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/report"
)

// mostShown is how many bytes of a body an example shows.
const mostShown = 4 << 10

// shownAnswer is the beginning of an answer, for people. same says that all
// sides have the same body, which is then seldom kept.
func shownAnswer(m *compare.Message, same bool) report.Sample {
	s := report.Sample{Status: m.Status, Size: max(m.Size, int64(len(m.Body)))}
	body := m.Body
	if len(body) == 0 && s.Size > 0 {
		s.Body = "(not kept)"
		if same {
			s.Body = "(the same on all sides)"
		}
		return s
	}
	switch coding := header(m, "content-encoding"); coding {
	case "", "identity":
	case "gzip", "x-gzip":
		r, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			s.Body = fmt.Sprintf("(gzip, %d bytes, cannot be read)", s.Size)
			return s
		}
		body, _ = io.ReadAll(io.LimitReader(r, mostShown+1)) // of a cut body, what there is
	default:
		s.Body = fmt.Sprintf("(%s, %d bytes)", clean(coding), s.Size)
		return s
	}
	short := body[:min(len(body), mostShown)]
	for range utf8.UTFMax - 1 { // not within a letter
		if len(short) == 0 || utf8.Valid(short) {
			break
		}
		short = short[:len(short)-1]
	}
	if !printable(short) {
		s.Body = fmt.Sprintf("(binary, %d bytes)", s.Size)
		return s
	}
	s.Body = string(short)
	return s
}

func header(m *compare.Message, name string) string {
	for i := range m.Headers {
		if m.Headers[i].Name == name {
			return m.Headers[i].Value
		}
	}
	return ""
}

// valueText is a value in a list of transitions.
func valueText(v *compare.Value) string {
	switch {
	case v.Type == compare.Absent:
		return "(absent)"
	case v.Type == compare.Null:
		return "null"
	case v.Type == compare.String && v.Text == "":
		return `""`
	case v.Cut:
		return clean(v.Text) + "…"
	}
	return clean(v.Text)
}
