package test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"testing"
)

// visitor is who sends one request with secrets in it.
type visitor struct {
	number                                    int
	kind                                      kind
	authorization, key, session, token, email string
	pan, card                                 string // a text and a number
}

// kind is what sort of request it is.
type kind int

const (
	page kind = iota
	pageAsked
	textPage
	redirected
	head
	jsonBody
	jsonChunked
	jsonZipped
	formBody
	multipartBody
	kinds
)

func (k kind) path() string {
	return [kinds]string{
		"/html", "/asked/json", "/text", "/redirect", "/html", "/json/orders", "/asked/json/orders", "/json/zipped", "/form", "/form/parts",
	}[k]
}

func (k kind) isJSON() bool { return k == jsonBody || k == jsonChunked || k == jsonZipped }

// visitors makes n of them. Some in a row share a session; the key of some is
// their token, too.
func visitors(v *vault, n int) []visitor {
	all := make([]visitor, n)
	for i := range all {
		name := func(what string) string { return fmt.Sprintf("the %s of request %d", what, i) }
		one := visitor{number: i, kind: kind(i) % kinds, key: v.text(name("key")) + `"<k>& %41+'\`}
		if i%3 > 0 {
			one.authorization = "Bearer " + v.text(name("authorization")) + "/+=~"
		} else {
			one.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:"+v.text(name("password"))+`"<é`))
		}
		if i%4 > 0 {
			one.session = all[i-1].session
		} else {
			one.session = v.text(name("session")) + "%2F=="
		}
		if i%7 > 0 {
			one.token = v.text(name("token")) + `"&=/ é+<`
		} else {
			one.token = one.key
		}
		if one.kind.isJSON() {
			one.email, one.pan, one.card = v.text(name("email"))+`"<é>&\/@example.com`, "4111-"+v.text(name("pan")), v.number(name("card"))
		}
		all[i] = one
	}
	return all
}

// request is what the visitor sends to the address.
func (w *visitor) request(t *testing.T, address string) *http.Request {
	t.Helper()
	escaped := url.QueryEscape(w.token)
	if w.number%2 == 0 {
		escaped = url.PathEscape(w.token) // by other rules
	}
	target := fmt.Sprintf("%s?page=%d&token=%s", w.kind.path(), w.number/int(kinds)%2, escaped)
	if w.number%3 == 0 {
		target += "&zip"
	}
	body, contentType := w.body(t)
	method := http.MethodGet
	switch {
	case w.kind == head:
		method = http.MethodHead
	case body != nil:
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+target, body)
	must(t, err)
	r.Host = "shop.example"
	r.Header = http.Header{
		"Authorization": {w.authorization}, "X-Api-Key": {w.key}, "X-Number": {fmt.Sprint(w.number)},
		"Cookie": {"a=1; session=" + w.session + "; b=2"}, "Accept-Encoding": {"identity"},
		"Referer": {"http://shop.example/from?token=" + escaped + "#top"},
	}
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-Url", "X-Replaced-Path"} { // what proxies before this one add
		r.Header.Set(name, target)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if w.kind == jsonZipped {
		r.Header.Set("Content-Encoding", "gzip")
	}
	return r
}

// body is nil for a request without one.
func (w *visitor) body(t *testing.T) (body io.Reader, contentType string) {
	t.Helper()
	var b bytes.Buffer
	switch {
	case w.kind.isJSON():
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(w.number%2 == 0)
		must(t, e.Encode(map[string]any{
			"user":   map[string]any{"email": w.email, "name": "Ann"},
			"orders": []any{map[string]any{"card": w.pan}, map[string]any{"card": json.Number(w.card), "count": 2}},
		}))
	case w.kind == formBody:
		b.WriteString(url.Values{"token": {w.token}, "name": {"Ann"}}.Encode())
		contentType = "application/x-www-form-urlencoded"
	case w.kind == multipartBody:
		m := multipart.NewWriter(&b)
		must(t, m.WriteField("name", "Ann"))
		must(t, m.WriteField("token", w.token))
		must(t, m.Close())
		contentType = m.FormDataContentType()
	default:
		return nil, ""
	}
	if w.kind.isJSON() {
		contentType = "application/json"
	}
	switch w.kind {
	case jsonZipped:
		return bytes.NewReader(zipped(b.Bytes())), contentType
	case jsonChunked:
		return io.MultiReader(&b), contentType // of no known length
	}
	return &b, contentType
}
