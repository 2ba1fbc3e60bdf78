// Package compare says how two answers to one request differ: status, headers,
// trailers and body, each difference with the path of its field.
//
// A [Comparer] takes two messages as they came over the wire. Bodies whose
// bytes are equal are not looked into. Others are decompressed, read by their
// content type into one kind of tree (JSON, forms, HTML, text, protobuf and
// gRPC all become objects, arrays and scalars), and the trees are walked
// together; rules by path say what is ignored, what may vary, and how arrays
// are matched. What no rule knows is compared by its bytes.
//
// The package is pure: no I/O, no clock, no logging, no goroutine. Memory, depth,
// nodes and work of one comparison are bounded by [Options]; what exceeds them
// is reported as not comparable, with a [Reason], and never as equal. It
// counts nothing and decides nothing: whether a difference matters is for who
// sees many of them.
package compare
