package test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// careless is a service that tells everybody what it was told: in headers,
// cookies, redirects, trailers and bodies of several kinds.
type careless struct {
	version int

	mu  sync.Mutex
	got map[string][]string // requests by their number, with all that they hold, bodies unpacked
}

// known is what the service got to know from a request.
type known struct {
	Authorization, Password, Key, Session, Token, FormToken, Referer string
	Body                                                             any
}

func (c *careless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	k := known{
		Authorization: r.Header.Get("Authorization"), Key: r.Header.Get("X-Api-Key"),
		Token: query.Get("token"), Referer: r.Referer(),
	}
	_, k.Password, _ = r.BasicAuth()
	if cookie, err := r.Cookie("session"); err == nil {
		k.Session = cookie.Value
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		body, err = gunzipped(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.keep(r, body)
	switch contentType := r.Header.Get("Content-Type"); {
	case strings.HasPrefix(contentType, "application/json"):
		_ = json.Unmarshal(body, &k.Body) // echoed as it is, or not at all
	case strings.HasPrefix(contentType, "application/x-www-form-urlencoded"):
		form, _ := url.ParseQuery(string(body))
		k.FormToken = form.Get("token")
	case strings.HasPrefix(contentType, "multipart/form-data"):
		r.Body = io.NopCloser(bytes.NewReader(body))
		k.FormToken = r.FormValue("token")
	}
	c.answer(w, r, &k, query.Get("page") == "1")
}

// keep keeps the request as text, sorted, so that equal ones are equal.
func (c *careless) keep(r *http.Request, body []byte) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n", r.Method, r.Host, r.RequestURI)
	for _, fields := range []http.Header{r.Header, r.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(fields[name], "|"))
		}
	}
	fmt.Fprintf(&b, "%s\n", body)
	if _, password, ok := r.BasicAuth(); ok {
		fmt.Fprintf(&b, "password: %s\n", password)
	}
	number := r.Header.Get("X-Number")
	c.mu.Lock()
	c.got[number] = append(c.got[number], b.String())
	c.mu.Unlock()
}

// all is everything that the service got.
func (c *careless) all() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	for _, number := range slices.Sorted(maps.Keys(c.got)) {
		for _, request := range c.got[number] {
			b.WriteString(request)
		}
	}
	return b.Bytes()
}

func (c *careless) requests(number string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got[number])
}

// answer repeats all. A new version forgets what it does not like.
func (c *careless) answer(w http.ResponseWriter, r *http.Request, k *known, forgets bool) {
	h := w.Header()
	email := ""
	if body, ok := k.Body.(map[string]any); ok {
		user, _ := body["user"].(map[string]any)
		email, _ = user["email"].(string)
	}
	h.Set("X-Echo-Authorization", k.Authorization)
	h.Set("X-Echo-Password", k.Password)
	h.Set("X-Echo-Path", r.RequestURI)
	h.Set("X-Echo-Body", email+" "+k.FormToken)
	h.Set("X-Echo-Cookie", "last="+k.Session)
	h.Set("Location", "/next?"+url.Values{"token": {k.Token}, "for": {email}, "back": {r.RequestURI}}.Encode())
	h.Set("Link", "</p?token="+url.PathEscape(k.Token)+">; rel=next")
	h.Add("Set-Cookie", "session="+k.Session+"; Path=/")
	h.Add("Set-Cookie", "seen="+k.Key)
	if c.version == 2 && forgets {
		k.Authorization, k.Token, k.Body = "hidden", "", nil
		h.Del("X-Echo-Password")
	} else {
		h.Set("X-Echo-Key", k.Key)
	}
	var body bytes.Buffer
	switch {
	case strings.Contains(r.URL.Path, "/html"):
		h.Set("Content-Type", "text/html; charset=utf-8")
		writeHTML(&body, k)
	case strings.Contains(r.URL.Path, "/text"):
		h.Set("Content-Type", "text/plain")
		fmt.Fprintf(&body, "known: %+v", *k)
	default:
		h.Set("Content-Type", "application/json")
		quoted, _ := json.Marshal(k)
		_ = json.NewEncoder(&body).Encode(map[string]any{
			"known": k, "quoted": string(quoted), k.Session: "as a name",
			"now": time.Now(), "id": rand.Text(), "version": c.version,
		})
	}
	status := http.StatusOK
	if strings.Contains(r.URL.Path, "/redirect") {
		status = http.StatusFound
	}
	h.Set("Trailer", "X-Echo-Trailer")
	if r.URL.Query().Has("zip") {
		h.Set("Content-Encoding", "gzip")
		packed := zipped(body.Bytes())
		body = *bytes.NewBuffer(packed)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
	h.Set("X-Echo-Trailer", k.Token+" "+k.Key)
}

// writeHTML writes the same in the ways that pages do.
func writeHTML(w io.Writer, k *known) {
	script, _ := json.Marshal(k)
	fmt.Fprintf(w, "<p title=\"%s\">%s</p><a href='/next?token=%s'>%s</a><script>let known = %s</script>",
		html.EscapeString(k.Authorization), html.EscapeString(k.Key), url.PathEscape(k.Token),
		strings.NewReplacer("<", "&lt;", ">", "&gt;", `"`, "&quot;", "&", "&amp;", "é", "&#xE9;").Replace(k.Token+k.Session), script)
}

func zipped(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text)
	_ = z.Close()
	return b.Bytes()
}
