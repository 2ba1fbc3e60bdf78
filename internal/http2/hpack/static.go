package hpack

import "strings"

// staticText is RFC 7541, appendix A: a name, and a value behind the first
// space if there is one, from index 1 on.
const staticText = `:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate`

// staticTable has the fields of staticText. Index 0 is none.
var staticTable = makeStatic()

func makeStatic() (t [62]field) {
	i := 1
	for line := range strings.SplitSeq(staticText, "\n") {
		name, value, _ := strings.Cut(line, " ")
		t[i] = newField([]byte(name), []byte(value))
		i++
	}
	return t
}

// Indices of the static table that the encoders know.
const (
	idxAuthority          = 1
	idxGet                = 2
	idxPost               = 3
	idxPath               = 4
	idxIndexHTML          = 5
	idxHTTP               = 6
	idxHTTPS              = 7
	idxStatus             = 8
	idxAuthorization      = 23
	idxLength             = 28
	idxCookie             = 32
	idxHost               = 38
	idxProxyAuthorization = 49
	idxSetCookie          = 55
	idxTransferEncoding   = 57
)

// staticNames finds the names of regular fields in staticTable, by a hash
// under which no two of them collide.
var staticNames = makeStaticNames()

func makeStaticNames() (t [128]uint8) {
	for i := idxStatus + 7; i < len(staticTable); i++ {
		t[hash(staticTable[i].name)] = uint8(i)
	}
	return t
}

func hash(name []byte) uint {
	n := uint(len(name))
	return (7*n + 23*uint(name[0]) + 9*uint(name[n-1]) + 2*uint(name[n/2])) % 128
}

// staticName returns the index of a regular field's name, 0 if it has none.
func staticName(name []byte) uint8 {
	if len(name) == 0 {
		return 0
	}
	if i := staticNames[hash(name)]; i > 0 && string(staticTable[i].name) == string(name) {
		return i
	}
	return 0
}
