package token

// Forget makes every token one that was not seen before.
func (v *Verifier) Forget() { v.seen.InvalidateAll() }
