package compare

import (
	"bytes"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// decoder decompresses bodies. Its readers are made when first needed, and used again.
type decoder struct {
	in     bytes.Reader
	gzip   *gzip.Reader
	zlib   io.ReadCloser
	flate  io.ReadCloser
	brotli *brotli.Reader
	zstd   *zstd.Decoder
}

// maxCodings is how many codings one body may have on top of each other.
const maxCodings = 3

// zstdWindow is the most memory of a zstd frame; RFC 8878 3.1.1.1.2 asks for at least 8 MiB.
const zstdWindow = 8 << 20

// body undoes the codings of a Content-Encoding header (RFC 9110 8.4). The
// result is body itself, or in buf's memory.
func (d *decoder) body(buf []byte, codings string, body []byte, limit int) ([]byte, Reason) {
	if len(body) > limit {
		return nil, TooLarge
	}
	for n := 0; codings != ""; n++ {
		if n == maxCodings {
			return nil, BadEncoding
		}
		coding := codings
		if comma := strings.LastIndexByte(codings, ','); comma >= 0 {
			coding, codings = codings[comma+1:], codings[:comma]
		} else {
			codings = ""
		}
		out := buf[:0]
		if n > 0 {
			out = nil // buf holds the input
		}
		var why Reason
		if body, why = d.one(out, strings.TrimSpace(coding), body, limit); why != "" {
			return nil, why
		}
	}
	return body, ""
}

// one undoes one coding, and appends the result to dst, unless there is nothing to undo.
func (d *decoder) one(dst []byte, coding string, body []byte, limit int) ([]byte, Reason) {
	switch strings.ToLower(coding) {
	case "", "identity":
		return body, ""
	case "deflate": // a zlib stream by RFC 9110 8.4.1.2, and without its frame from some servers
		out, why := d.read(dst, "deflate", body, limit)
		if why == BadEncoding {
			out, why = d.read(dst, "raw", body, limit)
		}
		return out, why
	default:
		return d.read(dst, strings.ToLower(coding), body, limit)
	}
}

func (d *decoder) read(dst []byte, coding string, body []byte, limit int) ([]byte, Reason) {
	d.in.Reset(body)
	r, err := d.reader(coding)
	if err != nil || r == nil {
		return nil, BadEncoding
	}
	dst = dst[:0]
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):min(cap(dst), limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return nil, TooLarge
		case err == io.EOF:
			return dst, ""
		case err != nil:
			return nil, BadEncoding
		}
	}
}

// reader returns a reader of what d.in holds; nil: there is no such coding.
func (d *decoder) reader(coding string) (io.Reader, error) {
	var err error
	switch coding {
	case "gzip", "x-gzip":
		if d.gzip == nil {
			d.gzip = new(gzip.Reader)
		}
		return d.gzip, d.gzip.Reset(&d.in)
	case "deflate":
		if d.zlib == nil {
			d.zlib, err = zlib.NewReader(&d.in)
			return d.zlib, err
		}
		return d.zlib, d.zlib.(zlib.Resetter).Reset(&d.in, nil)
	case "raw":
		if d.flate == nil {
			d.flate = flate.NewReader(&d.in)
			return d.flate, nil
		}
		return d.flate, d.flate.(flate.Resetter).Reset(&d.in, nil)
	case "br":
		if d.brotli == nil {
			d.brotli = brotli.NewReader(&d.in)
			return d.brotli, nil
		}
		return d.brotli, d.brotli.Reset(&d.in)
	case "zstd":
		if d.zstd == nil {
			d.zstd, err = zstd.NewReader(&d.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
			return d.zstd, err
		}
		return d.zstd, d.zstd.Reset(&d.in)
	}
	return nil, nil
}
