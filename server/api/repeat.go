package api

import (
	"encoding/json"

	"postern/server/admin"
)

// Repeatable is the header of a request that may be sent again when its answer
// was lost.
type Repeatable struct {
	IdempotencyKey string `header:"Idempotency-Key" minLength:"1" maxLength:"255" doc:"The same key with the same request within 24 hours makes nothing more and gets the same object. A secret that was made and never used is replaced by a new one. With another request it is refused."`
}

func (r Repeatable) idempotencyKey() string { return r.IdempotencyKey }

// repeating is the actor with the Idempotency-Key of the request, if it takes
// and has one. What the request is compared by is its meaning: how its JSON is
// laid out does not count.
func repeating(by *admin.Actor, in any) *admin.Actor {
	r, ok := in.(interface{ idempotencyKey() string })
	if !ok || r.idempotencyKey() == "" {
		return by
	}
	request, err := json.Marshal(in)
	if err != nil {
		return by // what was read from JSON can be written
	}
	with := *by
	with.Once = &admin.Once{Key: r.idempotencyKey(), Request: request}
	return &with
}
