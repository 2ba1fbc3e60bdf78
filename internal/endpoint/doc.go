// Package endpoint finds out which endpoint of a service a path belongs to:
// /users/123 and /users/456 are /users/{id}.
//
// A [Learner] looks for a path among the templates that it was given (those of
// an OpenAPI document, for example); there a literal segment wins over a
// parameter. Any other path goes into what it has learnt, a tree of segments.
// A segment that is a number, a UUID, a token, a date or an address of some
// kind is a parameter at once, {id}. Other segments become one when too many
// different ones follow the same parent; those that are seen far more often
// than their siblings stay as they are, so that a scanner that tries names
// does not make one endpoint of all (nor does a value that is very much asked
// for, which stays an endpoint). Query and fragment are left out;
// everything else of a path stays as it was sent: case, percent-encoding,
// empty segments, a slash at the end.
//
// A template that was once given for a path may widen but never narrows. Who
// counts by template is told of each widening, and adds the old one's counts to
// the new one's. The memory is bounded, by the number of templates; paths for
// which there is no room are [Other].
package endpoint
