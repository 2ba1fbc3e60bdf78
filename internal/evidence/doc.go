// Package evidence turns counts into decisions that hold however often one
// looks at them: is a field different, are two versions equivalent, is one
// slower.
//
// A judge counts; every type here is a small struct of such counts, as JSON
// just those counts, with a Merge that is their sum, so that the counts of many
// proxies, or of runs before a restart, are as good as if one had counted all.
// Numbers go in, numbers come out: the package reads no clock, draws nothing
// at random and keeps nothing.
//
// # E-processes
//
// An e-process starts at 1 and, if the hypothesis it speaks against is true,
// grows by no strategy: its expectation is at most 1 whenever one stops. So the
// probability that it ever reaches 1/α is at most α (Ville, Étude critique de
// la notion de collectif, 1939). It is the capital of a gambler who bets
// against the hypothesis at fair or unfavourable odds (Ramdas, Grünwald, Vovk,
// Shafer, Game-theoretic statistics and safe anytime-valid inference, 2023).
// All e-processes here stake fixed shares of the capital on each outcome, and
// mix over the shares (see mixture), as Robbins mixed over the parameter
// (1970; Wald, 1945, for one share): the outcome then depends on counts alone,
// not on their order. A set of parameters that no e-process has refuted is a
// confidence sequence (Howard, Ramdas, McAuliffe, Sekhon, Time-uniform
// confidence sequences, 2021; by betting: Waudby-Smith, Ramdas, 2024).
//
// # What is assumed
//
// Exchanges are a sample of the traffic, and the hypothesis of no difference
// says: it makes no difference to an answer which side gave it. So the copies
// of one exchange have to be sent in random order, and the four further
// questions of a confirmation in one of their six orders of sides, each as
// likely as the others. Answers may depend on time and on one another then.
//
// Merged counts are looked at in nested order: a later look holds all that an
// earlier one held.
package evidence
