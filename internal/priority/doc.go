// Package priority makes work that takes long wait for the event loops. To the
// Go scheduler all goroutines are equal, and one that computes may keep the
// place of a loop for milliseconds; to the kernel, threads are not.
package priority
