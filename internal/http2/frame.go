package http2

import "encoding/binary"

// frameType is the type of a frame (RFC 9113, section 6).
type frameType uint8

const (
	frameData         frameType = 0x0
	frameHeaders      frameType = 0x1
	framePriority     frameType = 0x2
	frameRSTStream    frameType = 0x3
	frameSettings     frameType = 0x4
	framePushPromise  frameType = 0x5
	framePing         frameType = 0x6
	frameGoAway       frameType = 0x7
	frameWindowUpdate frameType = 0x8
	frameContinuation frameType = 0x9
)

// Flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Settings (RFC 9113, section 6.5.2, and RFC 8441).
const (
	settingTableSize     = 0x1
	settingPush          = 0x2
	settingMaxStreams    = 0x3
	settingWindow        = 0x4
	settingFrameSize     = 0x5
	settingHeaderList    = 0x6
	settingConnect       = 0x8
	settingLength        = 6
	clientPreface        = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	frameHeaderSize      = 9
	prioritySize         = 5
	greatestOfFrameSizes = 1<<24 - 1
)

type frameHeader struct {
	length int
	kind   frameType
	flags  uint8
	id     uint32
}

func (h frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

// parseFrameHeader reads the header at the start of b.
func parseFrameHeader(b []byte) frameHeader {
	_ = b[frameHeaderSize-1]
	return frameHeader{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   frameType(b[3]),
		flags:  b[4],
		id:     binary.BigEndian.Uint32(b[5:]) & maxStreamID,
	}
}

func appendFrameHeader(dst []byte, length int, kind frameType, flags uint8, id uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags,
		byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// writeFrame writes a frame without a payload, or the header of one.
func (c *Conn) writeFrame(length int, kind frameType, flags uint8, id uint32) {
	c.out.Write(appendFrameHeader(c.scratch[:0], length, kind, flags, id))
}

// writeWord writes a frame whose payload is one number.
func (c *Conn) writeWord(kind frameType, id, word uint32) {
	b := appendFrameHeader(c.scratch[:0], 4, kind, 0, id)
	c.out.Write(binary.BigEndian.AppendUint32(b, word))
}

func (c *Conn) writePing(flags uint8, data uint64) {
	b := appendFrameHeader(c.scratch[:0], 8, framePing, flags, 0)
	c.out.Write(binary.BigEndian.AppendUint64(b, data))
}

func (c *Conn) writeGoAway(last uint32, code ErrCode) {
	b := appendFrameHeader(c.scratch[:0], 8, frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	c.out.Write(binary.BigEndian.AppendUint32(b, uint32(code)))
}

// writeBlock writes a header block, HEADERS and as many CONTINUATIONs as it
// takes. block began as a blockBuffer.
func (c *Conn) writeBlock(block []byte, id uint32, end bool) {
	c.peer.shrunk = false
	kind, flags := frameHeaders, uint8(0)
	if end {
		flags = flagEndStream
	}
	for {
		n := min(len(block)-frameHeaderSize, maxFrameSize)
		if frameHeaderSize+n == len(block) {
			flags |= flagEndHeaders
		}
		appendFrameHeader(block[:0], n, kind, flags, id)
		c.out.Write(block[:frameHeaderSize+n])
		if flags&flagEndHeaders != 0 {
			return
		}
		block = block[n:] // the next header takes the place of what has gone
		kind, flags = frameContinuation, 0
	}
}
