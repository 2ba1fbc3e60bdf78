package upstream

// retryBudget bounds the retries under way by the requests under way
// (circuit_breakers.thresholds.retry_budget).
type retryBudget struct {
	percent float64 // budget_percent; 20 where silent
	floor   uint32  // min_retry_concurrency; 3 where silent
}

// limit is how many retries may run beside so many active and pending
// requests.
func (r *retryBudget) limit(active uint64) uint32 {
	return max(uint32(min(r.percent/100*float64(active), unlimited)), r.floor)
}
