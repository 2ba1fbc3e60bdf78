package redact

import (
	"bytes"
	"errors"
	"mime"
)

// appendMultipart appends a multipart/form-data body (RFC 7578) with the
// contents of the policy's fields redacted, also those of files.
func (r *Redactor) appendMultipart(s *Scratch, dst, contentType, body []byte) ([]byte, error) {
	_, params, err := mime.ParseMediaType(string(contentType))
	if err != nil || params["boundary"] == "" {
		return dst, errors.New("its type multipart/form-data has no boundary")
	}
	delimiter := []byte("\r\n--" + params["boundary"])
	rest := body
	if !bytes.HasPrefix(rest, delimiter[2:]) {
		i := bytes.Index(rest, delimiter)
		if i < 0 {
			return dst, errors.New("the multipart boundary is not in it")
		}
		dst, rest = append(dst, rest[:i+2]...), rest[i+2:]
	}
	dst, rest = append(dst, delimiter[2:]...), rest[len(delimiter)-2:]
	for !bytes.HasPrefix(rest, []byte("--")) { // RFC 2046, section 5.1.1
		end := bytes.Index(rest, delimiter)
		if end < 0 {
			return dst, errors.New("its last part has no end")
		}
		header := bytes.Index(rest[:end], []byte("\r\n\r\n"))
		if header < 0 {
			return dst, errors.New("a part has no end of its header")
		}
		header += 4
		dst = append(dst, rest[:header]...)
		name, err := partName(rest[:header])
		if err != nil {
			return dst, err
		}
		if isNamed(r.query, name) {
			s.value = append(s.value[:0], rest[header:end]...)
			dst = r.token(s, dst, s.value)
		} else {
			dst = append(dst, rest[header:end]...)
		}
		dst = append(dst, delimiter...)
		rest = rest[end+len(delimiter):]
	}
	return append(dst, rest...), nil
}

// partName is the name in a part's Content-Disposition.
func partName(header []byte) ([]byte, error) {
	for line := range bytes.SplitSeq(header, []byte("\r\n")) {
		name, value := cutByte(line, ':')
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte("content-disposition")) {
			continue
		}
		_, params, err := mime.ParseMediaType(string(value))
		if err != nil {
			return nil, errors.New("the Content-Disposition of a part is malformed")
		}
		return []byte(params["name"]), nil
	}
	return nil, nil
}
