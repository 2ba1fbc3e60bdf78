package redact

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"github.com/sundog-mesh/sundog/internal/traffic"
)

// maxUnpacked is how large a body may be once it is unpacked, in bytes.
const maxUnpacked = 8 << 20

// coding is a content coding (RFC 9110, section 8.4.1).
type coding uint8

const (
	identity coding = iota
	gzipped
	deflated // zlib (RFC 1950), as the RFC has it
	raw      // bare deflate (RFC 1951), as some send it
	brotlied
	zstded
)

// codingOf reads Content-Encoding.
func codingOf(h *traffic.Head) (coding, error) {
	c, n := identity, 0
	for i := range h.Len() {
		name, list := h.Field(i)
		if string(name) != "content-encoding" {
			continue
		}
		for item := range bytes.SplitSeq(list, []byte{','}) {
			item = bytes.Trim(item, " \t")
			switch {
			case len(item) == 0 || traffic.EqualFold(item, "identity"):
				continue
			case traffic.EqualFold(item, "gzip"), traffic.EqualFold(item, "x-gzip"):
				c = gzipped
			case traffic.EqualFold(item, "deflate"):
				c = deflated
			case traffic.EqualFold(item, "br"):
				c = brotlied
			case traffic.EqualFold(item, "zstd"):
				c = zstded
			default:
				return c, fmt.Errorf("redact: the body has the content coding %q, which is not known", item)
			}
			if n++; n > 1 {
				return c, fmt.Errorf("redact: the body has more than one content coding, %q", list)
			}
		}
	}
	return c, nil
}

// codecs are kept, for they are large.
type codecs struct {
	gunzip *gzip.Reader
	gzip   *gzip.Writer
	zlib   *zlib.Writer
	flate  *flate.Writer
	unbr   *brotli.Reader
	br     *brotli.Writer
	unzstd *zstd.Decoder
	zstd   *zstd.Encoder
	in     bytes.Reader
	out    bytes.Buffer
}

// unpack appends the body without its coding, which it also returns: bare
// deflate is told from zlib by its first bytes.
func (c *codecs) unpack(k coding, dst, body []byte) ([]byte, coding, error) {
	if k == deflated && !isZlib(body) {
		k = raw
	}
	c.in.Reset(body)
	defer c.in.Reset(nil)
	r, err := c.reader(k)
	if err == nil {
		dst, err = readAll(dst, r)
	}
	if err == nil && c.in.Len() > 0 {
		err = errors.New("more follows after its end")
	}
	if err != nil {
		return dst, k, fmt.Errorf("redact: the body cannot be unpacked: %w", err)
	}
	return dst, k, nil
}

// isZlib reports whether b begins with a header of RFC 1950, section 2.2.
func isZlib(b []byte) bool {
	return len(b) >= 2 && b[0]&0x0f == 8 && (uint(b[0])<<8|uint(b[1]))%31 == 0
}

func (c *codecs) reader(k coding) (io.Reader, error) {
	switch k {
	case gzipped:
		if c.gunzip == nil {
			c.gunzip = new(gzip.Reader)
		}
		return c.gunzip, c.gunzip.Reset(&c.in)
	case deflated:
		return zlib.NewReader(&c.in)
	case raw:
		return flate.NewReader(&c.in), nil
	case brotlied:
		if c.unbr == nil {
			c.unbr = brotli.NewReader(nil)
		}
		return c.unbr, c.unbr.Reset(&c.in)
	}
	if c.unzstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxUnpacked))
		if err != nil {
			return nil, err
		}
		c.unzstd = d
	}
	return c.unzstd, c.unzstd.Reset(&c.in)
}

// readAll is io.ReadAll with a bound.
func readAll(dst []byte, r io.Reader) ([]byte, error) {
	from := len(dst)
	for {
		dst = slices.Grow(dst, 4096)
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-from > maxUnpacked:
			return dst, fmt.Errorf("it has more than %d MiB", maxUnpacked>>20)
		case err == io.EOF: //nolint:errorlint // as io.Reader has it
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

// pack appends the body in the coding.
func (c *codecs) pack(k coding, dst, body []byte) ([]byte, error) {
	c.out.Reset()
	w, err := c.writer(k)
	if err == nil {
		_, err = w.Write(body)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return dst, fmt.Errorf("redact: the body cannot be packed again: %w", err)
	}
	return append(dst, c.out.Bytes()...), nil
}

func (c *codecs) writer(k coding) (io.WriteCloser, error) {
	var err error
	switch k {
	case gzipped:
		if c.gzip == nil {
			c.gzip, err = gzip.NewWriterLevel(nil, gzip.BestSpeed)
		}
		c.gzip.Reset(&c.out)
		return c.gzip, err
	case deflated:
		if c.zlib == nil {
			c.zlib, err = zlib.NewWriterLevel(nil, zlib.BestSpeed)
		}
		c.zlib.Reset(&c.out)
		return c.zlib, err
	case raw:
		if c.flate == nil {
			c.flate, err = flate.NewWriter(nil, flate.BestSpeed)
		}
		c.flate.Reset(&c.out)
		return c.flate, err
	case brotlied:
		if c.br == nil {
			c.br = brotli.NewWriterLevel(nil, brotli.BestSpeed)
		}
		c.br.Reset(&c.out)
		return c.br, nil
	}
	if c.zstd == nil {
		c.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	}
	c.zstd.Reset(&c.out)
	return c.zstd, err
}
