package policy

// Offer hands a decision to the shadow check.
func (e *Engine) Offer(c *Caller, r *Request, d Decision) { e.offer(e.state.Load(), c, r, d) }
