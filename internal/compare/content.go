package compare

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// content is how a body is read.
type content uint8

const (
	contentUnknown content = iota // no content type
	contentJSON
	contentLines // several JSON documents
	contentForm
	contentText
	contentHTML
	contentXML
	contentProto
	contentGRPC
	contentGRPCJSON
	contentBytes
)

// contentOf reads a Content-Type header.
func contentOf(value string) content {
	value, _, _ = strings.Cut(value, ";")
	value = strings.ToLower(strings.TrimSpace(value))
	kind, sub, _ := strings.Cut(value, "/")
	suffix := sub[strings.LastIndexByte(sub, '+')+1:]
	switch {
	case value == "":
		return contentUnknown
	case strings.HasPrefix(value, "application/grpc"):
		switch suffix {
		case "grpc", "proto", "grpc-web":
			return contentGRPC
		case "json":
			return contentGRPCJSON
		}
		return contentBytes
	}
	switch sub {
	case "x-ndjson", "ndjson", "jsonl", "x-jsonl", "jsonlines", "x-jsonlines", "json-seq", "stream+json":
		return contentLines
	case "x-www-form-urlencoded":
		return contentForm
	case "html", "xhtml+xml":
		return contentHTML
	case "protobuf", "x-protobuf", "vnd.google.protobuf", "x-google-protobuf", "proto":
		return contentProto
	case "javascript", "x-javascript", "ecmascript", "yaml", "x-yaml", "toml", "graphql", "sql", "x-sh":
		return contentText
	}
	switch {
	case suffix == "json":
		return contentJSON
	case suffix == "xml":
		return contentXML
	case suffix == "proto" || suffix == "protobuf":
		return contentProto
	case suffix == "yaml" || kind == "text":
		return contentText
	}
	return contentBytes
}

// protoType returns the message type that a Content-Type header names, or "".
func protoType(value string) string {
	_, params, _ := strings.Cut(value, ";")
	for params != "" {
		var one string
		one, params, _ = strings.Cut(params, ";")
		name, v, _ := strings.Cut(strings.TrimSpace(one), "=")
		switch strings.ToLower(name) {
		case "proto", "messagetype", "message":
			return strings.Trim(v, `"`)
		}
	}
	return ""
}

// readable reports whether bytes are text.
func readable(b []byte) bool {
	return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0
}

// guess tells how bytes without a content type are read.
func guess(b []byte) content {
	trimmed := bytes.TrimLeft(b, " \t\r\n")
	switch {
	case len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '['):
		return contentJSON
	case readable(b):
		return contentText
	}
	return contentBytes
}

// lower reads a body into a tree.
func (c *Comparer) lower(t *tree, kind content, r Request, m *Message, body []byte) Reason {
	t.reset(body, limits{c.opts.MaxDepth, c.opts.MaxNodes})
	all := span{0, uint32(len(body))}
	switch kind {
	case contentJSON:
		if rest := bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")); len(rest) < len(body) {
			all.from = 3
		}
		why := parseJSON(t, all, false)
		if why == Malformed {
			t.reset(body, t.limit)
			if why = parseJSON(t, all, true); why == "" && t.nodes[0].count < 2 {
				why = Malformed
			}
		}
		return why
	case contentLines:
		return parseJSON(t, all, true)
	case contentForm:
		return parseForm(t, all)
	case contentText:
		if !readable(body) {
			return Malformed
		}
		return parseText(t, all)
	case contentHTML:
		if !readable(body) {
			return Malformed
		}
		return parseHTML(t)
	case contentXML:
		return parseXML(t)
	case contentProto:
		p := protoParser{t: t, types: c.types}
		return p.whole(all, p.message(protoType(m.header("content-type"))))
	case contentGRPC, contentGRPCJSON:
		return c.parseGRPC(t, kind, r, m)
	}
	return Malformed
}
