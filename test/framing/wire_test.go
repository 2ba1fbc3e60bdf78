package framing

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// errNot is what a strict reader says of bytes that two readers could take for
// different messages.
var errNot = errors.New("ambiguous")

func not(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errNot, fmt.Sprintf(format, args...))
}

// head is a start line and its fields, names in lower case.
type head struct {
	start  string
	fields [][2]string
}

func (h *head) all(name string) (values []string) {
	for _, f := range h.fields {
		if f[0] == name {
			values = append(values, f[1])
		}
	}
	return values
}

func (h *head) first(name string) string {
	if v := h.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// readLine reads a line that ends in CRLF and has no other CR, LF or NUL.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		if line != "" {
			err = io.ErrUnexpectedEOF
		}
		return line, err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.ContainsAny(text, "\r\x00") {
		return line, not("line %q", line)
	}
	return text, nil
}

func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

func readFields(r *bufio.Reader) (fields [][2]string, err error) {
	for {
		line, err := readLine(r)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || line == "" {
			return fields, err
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) {
			return fields, not("field line %q", line)
		}
		fields = append(fields, [2]string{strings.ToLower(name), strings.Trim(value, " \t")})
	}
}

func readHead(r *bufio.Reader) (head, error) {
	start, err := readLine(r)
	if err != nil {
		return head{start: start}, err
	}
	fields, err := readFields(r)
	return head{start, fields}, err
}

// framing is how long a body is: -1 for chunked, -2 where nothing says so.
func (h *head) framing() (length int64, err error) {
	lengths, codings := h.all("content-length"), h.all("transfer-encoding")
	switch {
	case len(lengths)+len(codings) > 1:
		return 0, not("lengths %q, codings %q", lengths, codings)
	case len(codings) == 1 && codings[0] == "chunked":
		return -1, nil
	case len(codings) == 1:
		return 0, not("coding %q", codings[0])
	case len(lengths) == 0:
		return -2, nil
	}
	for _, c := range lengths[0] {
		if c < '0' || c > '9' {
			return 0, not("length %q", lengths[0])
		}
	}
	if length, err = strconv.ParseInt(lengths[0], 10, 64); err != nil {
		return 0, not("length %q", lengths[0])
	}
	return length, nil
}

// readBody reads a body and gives its pieces to add, as they come.
func readBody(r *bufio.Reader, length int64, add func([]byte)) error {
	if length >= 0 {
		return copyN(r, length, add)
	}
	for {
		line, err := readLine(r)
		if err != nil {
			return unexpected(err)
		}
		n, err := strconv.ParseInt(line, 16, 64)
		if err != nil || n < 0 || strings.ContainsAny(line, "+-_") {
			return not("chunk size %q", line)
		}
		if n == 0 {
			_, err := readFields(r)
			return err
		}
		if err := copyN(r, n, add); err != nil {
			return err
		}
		if line, err = readLine(r); err != nil {
			return unexpected(err)
		} else if line != "" {
			return not("%q after a chunk", line)
		}
	}
}

func copyN(r *bufio.Reader, n int64, add func([]byte)) error {
	for buf := make([]byte, 4096); n > 0; {
		got, err := r.Read(buf[:min(n, int64(len(buf)))])
		add(buf[:got])
		if n -= int64(got); err != nil && n > 0 {
			return unexpected(err)
		}
	}
	return nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// answer is a response as a client got it.
type answer struct {
	head
	status int
	body   []byte
	err    error // why it ends before it should
}

// readAnswers reads what a proxy has sent to a client. Bodies of answers to
// HEAD are not there, which bare says of the i-th. Interim answers are left out.
func readAnswers(data []byte, bare func(i int, h head) bool) (answers []answer) {
	r := bufio.NewReader(bytes.NewReader(data))
	for {
		var a answer
		if a.head, a.err = readHead(r); errors.Is(a.err, io.EOF) {
			return answers
		}
		version, rest, _ := strings.Cut(a.start, " ")
		code, _, _ := strings.Cut(rest, " ")
		a.status, _ = strconv.Atoi(code)
		if a.err == nil && (!strings.HasPrefix(version, "HTTP/1.") || a.status < 100 || a.status > 599) {
			a.err = not("start line %q", a.start)
		}
		if a.status >= 100 && a.status < 200 && a.status != 101 && a.err == nil {
			continue
		}
		var length int64
		if a.err == nil {
			length, a.err = a.framing()
		}
		switch {
		case a.err != nil:
		case a.status == 204 || a.status == 304 || bare(len(answers), a.head):
		case length == -2 || a.status == 101:
			a.body, a.err = io.ReadAll(r)
		default:
			a.err = readBody(r, length, func(p []byte) { a.body = append(a.body, p...) })
		}
		answers = append(answers, a)
		if a.err != nil {
			return answers
		}
	}
}
