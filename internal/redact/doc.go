// Package redact replaces secret values of requests and answers by keyed
// pseudonyms: the same value has the same pseudonym wherever it stands, so
// that copies can still be told apart and compared, and nobody without the key
// can find the value out, not even by trying all likely ones.
//
// A [Redactor] is what a policy says, compiled. It never changes, and loops
// and workers share it; the memory to work in is a [Scratch], one for each.
// Head edits a message's head or trailers in place. Body makes the new body of
// a message; it wants the whole of it, which is why NeedsBody says beforehand
// whether one has to wait. Scrub finds the secrets of one request once more
// where nobody named a place for them: in an answer that repeats its request.
//
// What a pseudonym looks like:
//
//   - A text becomes "sd_" and 20 characters of a-z and 2-7: 60 bits that
//     stand for the value and 40 bits that prove that the pseudonym was made
//     with this key. So a pseudonym that comes back, in the answer of a shadow
//     that got one, is known and stays as it is.
//   - A number becomes a number of 15 digits that begins with 9 (26 bits and
//     20 bits), so that a shadow that wants a number gets one. What counts is
//     the value, not where it stands: 42, 42.0 and "42" of a JSON body and 42
//     of a query have one pseudonym.
//   - An empty value and null stay.
//
// The package never does I/O and never logs. It does not look for secrets in
// texts within texts (JSON in a form field or in a JSON string, an encoded URL
// as a parameter), in protobuf, XML or event streams. A secret that an answer
// repeats is found as it is and as URLs, JSON, scripts and HTML write it, one
// within another, too; in a way of the answer's own (cut, in capitals, in
// base64) it stays.
package redact
