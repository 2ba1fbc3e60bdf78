package tlsconn

// ParseHello is for tests.
var ParseHello = parseHello
