package http2

// What a peer may do without doing anything useful. Everything else that
// costs us is bounded by windows, MaxStreams or the size of heads.
const (
	// calmBurst and calmPerSecond bound the frames that carry no message:
	// PING, SETTINGS, WINDOW_UPDATE, PRIORITY, RST_STREAM, empty DATA, unknown
	// ones, 1xx heads, and whatever comes for closed streams. Each stream and
	// each DATA frame that is sent allows some more, as in Envoy
	// (max_inbound_window_update_frames_per_data_frame_sent, 10).
	calmBurst     = 2000
	calmPerSecond = 200
	calmPerStream = 20
	calmPerData   = 10
	// usefulData is from how many bytes on a DATA frame counts, unless it is
	// all that waits: or a peer could have a message in pieces of one byte.
	usefulData = 256

	// resetBurst and resetPerSecond bound the streams that a client resets
	// before they are answered. Each one that is answered allows another: so at
	// most half of many may end that way (Envoy's
	// overload.premature_reset_total_stream_count).
	resetBurst     = 500
	resetPerSecond = 100

	// maxContinuations bounds the frames of one header block, and maxBlock its
	// bytes, as they came, to so many times those of the head.
	maxContinuations = 64
	maxBlock         = 2

	// maxEarly is how many 1xx heads wait to be taken; older ones are dropped.
	maxEarly = 8

	// congested is how much output may wait while input is read. Payload stops
	// at the output's own bound (64 KiB); only answers to control frames, and
	// heads, get it there.
	congested = 128 << 10
)

// bucket holds what may be spent: it fills with time and by merit.
type bucket struct {
	left, most, perSecond int64
	filled                int64 // when, in nanoseconds
}

// spend takes n and reports whether there was so much.
func (b *bucket) spend(n int64, now func() int64) bool {
	if b.left < n {
		b.fill(now())
	}
	if b.left < n {
		return false
	}
	b.left -= n
	return true
}

func (b *bucket) fill(now int64) {
	const second = 1e9
	gain := (now - b.filled) / (second / b.perSecond)
	if gain <= 0 {
		return
	}
	if gain >= b.most {
		b.left, b.filled = b.most, now
		return
	}
	b.left = min(b.most, b.left+gain)
	b.filled += gain * (second / b.perSecond)
}

func (b *bucket) earn(n int64) { b.left = min(b.most, b.left+n) }
