// Package strict reads YAML and JSON documents, and checks them against
// protobuf messages and Go structs.
//
// Documents turns text into Nodes with places; Check walks a Node along a Shape,
// which is made of a message's descriptor or of a Go type, and gives a clean
// JSON value and every Fault: unknown fields, wrong types, values out of range,
// two members of a oneof, keys that stand twice. The package knows nothing of
// any particular kind of object, and of no file but the text that it is given.
package strict
