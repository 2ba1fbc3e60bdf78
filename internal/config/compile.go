package config

import (
	"strconv"
	"strings"

	"github.com/sundog-mesh/sundog/internal/compare"
	"github.com/sundog-mesh/sundog/internal/config/strict"
	"github.com/sundog-mesh/sundog/internal/filter"
	"github.com/sundog-mesh/sundog/internal/policy"
	"github.com/sundog-mesh/sundog/internal/redact"
)

// What has a syntax of its own is checked by those who will use it, so that
// nothing passes here and fails there.

// checkRedaction checks one entry of a redaction.
func checkRedaction(r *reporter, field, text string, p policy.Redact) {
	if _, err := redact.New(p, make([]byte, redact.MinKey)); err != nil {
		why := reason(err, text)
		if text != "" && !strings.Contains(why, text) {
			why = strconv.Quote(strict.Shorten(text)) + ": " + why
		}
		r.refuse(field, "", "%s", why)
	}
}

// checkExpression checks a CEL expression over requests.
func checkExpression(r *reporter, field, text string) {
	if _, err := filter.Compile(text); err != nil {
		r.refuse(field, "", "cannot be used: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// checkFieldPath checks the path of a field of answers.
func checkFieldPath(r *reporter, field, path string) {
	if _, err := compare.New(compare.Options{Ignore: []string{path}}); err != nil {
		r.refuse(field, "write it as a report does, like header.etag or body.items[].price",
			"%q is not a path of fields: %s", strict.Shorten(path), reason(err, path))
	}
}

// checkArrayKey checks the name of the field that identifies an element.
func checkArrayKey(r *reporter, field, key string) {
	rule := compare.Rule{Path: "body", Array: compare.ArrayKey, Key: key}
	if _, err := compare.New(compare.Options{Fields: []compare.Rule{rule}}); err != nil {
		r.refuse(field, "", "%q is not the name of a field: %s", strict.Shorten(key), reason(err, key))
	}
}

// reason is what an error says after the text that it is about.
func reason(err error, text string) string {
	message := err.Error()
	if _, after, ok := strings.Cut(message, strconv.Quote(text)+": "); ok {
		return after
	}
	if _, after, ok := strings.Cut(message, ": "); ok {
		return after
	}
	return message
}
