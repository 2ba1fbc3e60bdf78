package hpack

// huffmanCode is RFC 7541, appendix B, without EOS: the symbols of each
// length in the order of their codes. The code is canonical, so lengths and
// order say all.
var huffmanCode = [...]struct {
	bits    int
	symbols string
}{
	{5, "012aceiost"},
	{6, " %-./3456789=A_bdfghlmnpru"},
	{7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"},
	{8, "&*,;XZ"},
	{10, `!"()?`},
	{11, "'+|"},
	{12, "#>"},
	{13, "\x00$@[]~"},
	{14, "^}"},
	{15, "<`{"},
	{19, "\\\xc3\xd0"},
	{20, "\x80\x82\x83\xa2\xb8\xc2\xe0\xe2"},
	{21, "\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6"},
	{22, "\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9"},
	{23, "\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf\xc5\xe7\xef"},
	{24, "\x09\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed"},
	{25, "\xc7\xcf\xea\xeb"},
	{26, "\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff"},
	{27, "\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe"},
	{28, "\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f\xdc\xf9"},
	{30, "\x0a\x0d\x16"},
}

// shortCode is a symbol and the length of its code; no bits if the code is
// longer than eight.
type shortCode struct{ symbol, bits uint8 }

// shortCodes has the codes of up to eight bits by the next eight bits.
var shortCodes = makeShortCodes()

func makeShortCodes() (t [256]shortCode) {
	at := 0
	for _, c := range huffmanCode {
		if c.bits > 8 {
			break
		}
		for i := range len(c.symbols) {
			for range 1 << (8 - c.bits) {
				t[at] = shortCode{c.symbols[i], uint8(c.bits)}
				at++
			}
		}
	}
	return t
}

// codeStarts has, for each element of huffmanCode, its first code, moved to
// the upper end of 64 bits; at last EOS.
var codeStarts = makeCodeStarts()

func makeCodeStarts() (t [len(huffmanCode) + 1]uint64) {
	at := uint64(0)
	for i, c := range huffmanCode {
		t[i] = at
		at += uint64(len(c.symbols)) << (64 - c.bits)
	}
	t[len(huffmanCode)] = at
	return t
}

// decodeHuffman writes what src stands for to dst, as far as it has room, and
// returns how long it is. ok is false if src holds EOS, or ends neither at the
// end of a code nor with up to seven bits of EOS.
func decodeHuffman(dst, src []byte) (n int, ok bool) {
	var (
		bits uint64 // to decode; the first one is the highest
		have int    // how many they are
	)
	for {
		for have <= 56 && len(src) > 0 {
			bits |= uint64(src[0]) << (56 - have)
			have += 8
			src = src[1:]
		}
		for {
			c := shortCodes[bits>>56]
			symbol, used := c.symbol, int(c.bits)
			if used == 0 {
				symbol, used = longCode(bits)
			}
			if used > have {
				break
			}
			if used == 0 {
				return n, false
			}
			if n < len(dst) {
				dst[n] = symbol
			}
			n++
			bits <<= used
			have -= used
		}
		if len(src) == 0 {
			return n, have < 8 && bits == ^(^uint64(0)>>have)
		}
	}
}

// longCode finds the code of more than eight bits that bits begin with. It
// returns 0 for EOS, and more bits than there are if these are too few.
func longCode(bits uint64) (symbol uint8, used int) {
	if bits >= codeStarts[len(huffmanCode)] {
		return 0, 0
	}
	i := 4
	for bits >= codeStarts[i+1] {
		i++
	}
	c := &huffmanCode[i]
	return c.symbols[(bits-codeStarts[i])>>(64-c.bits)], c.bits
}
