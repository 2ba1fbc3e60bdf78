package proxy

import (
	"github.com/sundog-mesh/sundog/internal/redact"
	"github.com/sundog-mesh/sundog/internal/traffic"
)

// mostShown is the size of a request's body, in bytes, up to which it is read
// for the secrets that its answer's head may repeat.
const mostShown = 32 << 10

// redacts returns what takes secrets out of the heads of an exchange that is to
// be shown. Answers may repeat secrets of the request's body. Where that is not
// known, they show only what cannot.
func (w *worker) redacts(r *redact.Redactor) func(*traffic.Exchange) {
	return func(e *traffic.Exchange) {
		s := &w.scratch
		s.Remember()
		defer s.Forget()
		known := w.rememberBody(r, e)
		r.Head(s, &e.Request)
		s.Seal(redact.InPassing)
		r.Head(s, &e.Request)
		w.show(r, &e.Primary.Response, known)
		for i := range e.Shadows {
			w.show(r, &e.Shadows[i].Response, known)
		}
	}
}

// show makes an answer's head one that may be shown.
func (w *worker) show(r *redact.Redactor, h *traffic.Head, known bool) {
	r.Head(&w.scratch, h)
	if !known {
		withhold(h)
	}
}

// rememberBody has the scratch remember the secrets of the request's body, and
// reports whether it could.
func (w *worker) rememberBody(r *redact.Redactor, e *traffic.Exchange) bool {
	body := &e.RequestBody
	switch {
	case e.RequestBytes == 0 || !r.NeedsBody(&e.Request):
		return true
	case body.Cut || len(body.Bytes) > mostShown || int64(len(body.Bytes)) != e.RequestBytes || e.Request.Has("content-encoding"):
		return false
	}
	w.bodyHead.CopyFrom(&e.Request)
	var err error
	w.body, err = r.Body(&w.scratch, &w.bodyHead, w.body[:0], body.Bytes)
	return err == nil
}

// withhold empties the fields of an answer that may repeat what it was told.
func withhold(h *traffic.Head) {
	for i := h.Len() - 1; i >= 0; i-- {
		if name, _ := h.Field(i); !ownWords(string(name)) {
			h.DelAt(i)
		}
	}
}

// ownWords reports whether a field of an answer says nothing of its request.
func ownWords(name string) bool {
	switch name {
	case "age", "allow", "cache-control", "content-encoding", "content-length", "content-type", "date", "expires", "grpc-status",
		"last-modified", "retry-after", "server", "transfer-encoding", "vary", "via", "x-envoy-upstream-service-time":
		return true
	}
	return false
}
