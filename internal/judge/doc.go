// Package judge says what the answers of a candidate mean: is it equivalent to
// the primary, is it different and where, or how many more exchanges that takes.
//
// # How an exchange passes
//
// A [Judge] is a traffic.Sink. On the event loop that offers a settled exchange,
// what is needed of it is copied into a bounded queue; bodies that are equal on
// all sides are not. Workers ([Judge.Run]) take it from there: values are
// redacted as the policy says, the path becomes the template of an endpoint, and
// the candidate's and the baseline's answers are compared with the primary's. What
// comes out is added to tables of counts, per endpoint, field and [Aspect], and
// the exchange is forgotten, but for the smallest example of each difference.
// Mismatches of safe requests are confirmed through an [Asker], on goroutines of
// their own, where the policy allows it. [Judge.Report] reads the tables and
// decides, by the mathematics of package evidence.
//
// # What a field's aspects are for
//
// Every aspect of a field is a hypothesis of its own. A timestamp differs in
// every exchange, for candidate and baseline alike, so its values say nothing;
// that it is there, its type, its format, its range, and that it is not always the
// same go on being checked. Without a baseline no coin is tossed: what kind of
// noise a field has is then read off its values, and evidence comes from
// confirmations alone.
//
// Which fields are noise, and which are the names of instances, is known only
// after some exchanges. What an exchange is counted by, whether it differs in
// anything else, is therefore kept as sets of hypotheses, and read anew for each
// report. Both sides are held to the same rule, or the excess would lean to one.
//
// # What is assumed, and what is not
//
// A coin is fair if copies go out in random order and an answer does not depend on
// which instance gave it. Instances of one version do differ: in names (told
// apart, never a proof), in counters (their range is not looked at), in levels of
// memory or load (a range is beyond when it is far beyond). Where the only baseline
// is the primary asked again, what else is particular to its instance counts as a
// difference, and a warning says so.
//
// Where no baseline is on another instance, nothing that is counted can tell the
// name of an instance from a value that is always wrong. There, a field is neither a
// difference nor equal, and the verdict undecided, if each side has values of its
// own in all of the endpoint's answers, the same whatever the request or in long
// runs, as instances are replaced, that look like names: see names. Anything else
// that is always wrong is a difference.
//
// Latencies are judged against a baseline of its
// own instance only, as all others are asked earlier or later.
//
// # State
//
// All tables are counts. Save writes them, Load adds them to others: a process
// goes on after a restart, and the judgement on a fleet is that of a judge that
// has loaded the states of all. A state of another version is refused: one that
// lacks a count would turn what it decides into something else. Descriptions
// (examples, transitions, series, predictors) are bounded, and merge as far as
// there is room.
//
// # Threads
//
// Offer is called on event loops, by many at once. It takes one lock (queue.mu)
// for as long as it takes to put a pointer into a ring and add to an account, and
// never waits otherwise. Workers are on threads of their own, which on Linux have a
// lower priority than the loops'; they compare without a lock, and take Judge.mu to add
// to the tables; Report, Save, Load and Configure take it, too. Judge.mu is taken
// before queue.mu, never after. Questions are asked without any lock.
//
// # What it never does
//
// It sends nothing by itself, opens no file, logs nothing, and keeps nothing that
// the policy wants redacted. Everything it keeps is bounded, and what found no
// room is counted.
package judge
