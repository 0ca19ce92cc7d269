package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"postern/server/admin"
	"postern/server/limit"
	"postern/server/secret"
)

const (
	maxLeaks      = 1000
	maxLeakReport = 256<<10 + 1 // huma refuses a body of exactly the limit
	// leakTime is how long the answer to a report takes at least, so that it does
	// not tell by its time whether something was written.
	leakTime = 100 * time.Millisecond
)

// LeakReport is the body of POST /leaks.
type LeakReport struct {
	Tokens []string `json:"tokens" maxItems:"1000" example:"[\"pst_…\"]" doc:"Secrets and access tokens, as they were found. What is none of this server's is passed over."`
}

type leakAnswer struct {
	Body struct {
		Message string `json:"message" example:"Thank you. What is ours and still worked is dealt with; you are told no more than this."`
	}
}

// leaks is for anybody who found something. Neither the answer nor its time says
// whether any of it was good, so nobody can try texts out here.
func (m *mounted) leaks() {
	rate := m.LeakRate
	if rate.None() {
		rate = limit.Rate{Count: 60, Per: time.Hour}
	}
	register(m, "client.leak", m.reportLeaks, func(op *huma.Operation) {
		op.DefaultStatus = http.StatusAccepted
		op.MaxBodyBytes = maxLeakReport
		op.Middlewares = huma.Middlewares{m.limited(limit.NewLimiter(0), rate)}
	})
}

func (m *mounted) reportLeaks(ctx context.Context, by *admin.Actor, in *struct{ Body LeakReport }) (*leakAnswer, error) {
	enough := time.NewTimer(leakTime)
	defer enough.Stop()
	err := m.Admin.ReportLeaks(ctx, by, m.ours(in.Body.Tokens))
	select {
	case <-enough.C:
	case <-ctx.Done():
	}
	if err != nil {
		return nil, err
	}
	out := &leakAnswer{}
	out.Body.Message = "Thank you. What is ours and still worked is dealt with; you are told no more than this."
	return out, nil
}

// ours are the texts that can be credentials of this server, as far as can be
// told without a look into the store.
func (m *mounted) ours(texts []string) []admin.Leaked {
	var out []admin.Leaked
	seen := map[string]bool{}
	for _, text := range texts {
		if seen[text] {
			continue
		}
		seen[text] = true
		if secret.Looks(text) {
			if s, client, err := secret.Parse(text); err == nil {
				out = append(out, admin.Leaked{Secret: s, Client: client})
			}
		} else if t, err := m.Verifier.Own(text); err == nil {
			out = append(out, admin.Leaked{Token: t})
		}
	}
	return out
}

// limited answers 429 to an address that asks too often, before anything else is
// read of the request.
func (m *mounted) limited(l *limit.Limiter, rate limit.Rate) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		ok, wait := l.AllowFrom(m.Address(humagin.Unwrap(ctx).Request), rate, m.Now())
		if ok {
			next(ctx)
			return
		}
		ctx.SetHeader("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
		_ = huma.WriteErr(m.huma, ctx, http.StatusTooManyRequests, "too many requests from this address; try again later") // the sender is gone then
	}
}
