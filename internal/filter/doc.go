// Package filter decides by a CEL expression which requests are mirrored, as
// in `request.method == "GET" && request.headers["x-user"].startsWith("a")`.
//
// The names are those of Envoy's attributes, so an expression means here what
// it means in Envoy's RBAC filter:
//
//	request.method     string     "GET"
//	request.path       string     with the query
//	request.url_path   string     without it
//	request.query      string     "a=1&b=2", without the question mark
//	request.host       string     the authority, with its port
//	request.scheme     string     "http"
//	request.protocol   string     "HTTP/1.1"
//	request.headers    map        by lower-case name; several lines are one value, with commas
//	request.referer    string     empty where there is none
//	request.useragent  string     empty where there is none
//	request.id         string     x-request-id, empty where there is none
//	request.size       int        Content-Length, 0 where there is none
//	request.time       timestamp  when the request came
//	source.address     string     "192.0.2.1:4711", after x-forwarded-for was trusted
//	source.port        int
//	destination.address, destination.port
//
// Functions and macros are CEL's standard ones, and its optionals:
// request.headers[?"x-user"].orValue(""). A header that is not there is an
// error where it is asked for, and a request whose expression fails does not
// match.
//
// [Compile] checks an expression's names and types. A [Program] is evaluated
// on the request's own head, of which it copies only what the expression looks
// at, and gives up when an expression costs too much. It does no I/O.
package filter
