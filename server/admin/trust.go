package admin

import (
	"context"
	"slices"

	"postern/server/assertion"
	"postern/store"
)

// Trust is a rule to make, which stands in the place of a secret.
type Trust struct {
	Rule      store.TrustRule // Wide is not read
	AllowWide bool            // it is made even though it is too wide
}

// TrustReport says how a JWT stands to the trust rules of a client. Nothing in it
// is the JWT, or its signature.
type TrustReport struct {
	Accepted   bool                  // it would authenticate the client
	Conditions []assertion.Condition // of every JWT, and of the client
	Rules      []TrustTried
}

// TrustTried is one rule that was tried.
type TrustTried struct {
	Secret     *store.ClientSecret // whose Trust is not nil
	Accepted   bool                // each of its conditions holds
	Conditions []assertion.Condition
}

// checkTrust returns the rule to make, or nil where none is asked for. It refuses
// one by which nothing is known, one that is too wide, and one for a client of
// which a person is to have a secret.
func checkTrust(c *store.Client, in Rotation) (*store.TrustRule, error) {
	if in.Trust == nil {
		return nil, nil //nolint:nilnil // no rule, as the comment says
	}
	switch {
	case in.isKey():
		return nil, refuse(Invalid, "trust: a key and a trust rule are two credentials; add one at a time")
	case c.ClientKind == store.ClientPersonal || c.Bearer:
		return nil, refuse(Conflict, "a personal token, and one that is sent as a bearer, is a secret; trust rules are for service clients")
	case !c.Authenticates("private_key_jwt"):
		return nil, refuse(Conflict, "the client was imported as one that authenticates by %v alone; make a new client for the workload", c.AuthMethods)
	}
	rule := in.Trust.Rule
	rule.Claims = slices.Clone(rule.Claims)
	if err := assertion.CheckRule(&rule); err != nil {
		return nil, refuse(Invalid, "trust.%s", err)
	}
	rule.Wide = assertion.Wide(&rule)
	if rule.Wide != "" && !in.Trust.AllowWide {
		return nil, refuse(Invalid, "trust: the rule is too wide: %s; pin more, or allow it by allow_wide (--allow-wide)", rule.Wide)
	}
	return &rule, nil
}

// TestTrust says whether a JWT would authenticate a client by one of its trust
// rules, and which conditions fail. It uses up nothing, and is no use of the
// client.
func (a *Admin) TestTrust(ctx context.Context, by *Actor, id store.ClientID, jwt string) (*TrustReport, error) {
	c, err := a.client(ctx, by, opTrustTest, id)
	if err != nil {
		return nil, err
	}
	now := a.now()
	usable := assertion.Condition{Name: "client", Want: string(store.ClientActive), Got: string(c.State(now))}
	h, err := a.State.Holder(ctx, c.Account)
	if err != nil {
		return nil, fromStore(opTrustTest.Name, err)
	}
	switch {
	case c.State(now) != store.ClientActive:
		usable.Fault = "the client is not active"
	case c.Profile == store.ProfileFAPI2:
		usable.Got, usable.Fault = "fapi2", "the client keeps the profile fapi2, which wants a key of its own"
	case h.Account.Status != store.AccountActive:
		usable.Got, usable.Fault = string(h.Account.Status), "its account is not active"
	}
	w, err := assertion.ParseWorkload(jwt)
	if err != nil {
		unread := assertion.Condition{Name: "form", Want: "a JWT with iss, sub, aud, exp and iat", Fault: err.Error()}
		return &TrustReport{Conditions: []assertion.Condition{unread, usable}}, nil //nolint:nilerr // that is the answer
	}
	out := &TrustReport{Conditions: append(w.Conditions(a.Now(), a.Issuer), usable)}
	for i := range c.Secrets {
		if s := &c.Secrets[i]; s.Trust != nil {
			out.Rules = append(out.Rules, a.tryTrust(ctx, s, w))
		}
	}
	out.Accepted = assertion.Broken(out.Conditions) == nil && slices.ContainsFunc(out.Rules, func(t TrustTried) bool { return t.Accepted })
	return out, nil
}

// tryTrust tries one rule. Keys are looked for where everything else holds, as
// when a token is asked for.
func (a *Admin) tryTrust(ctx context.Context, s *store.ClientSecret, w *assertion.Workload) TrustTried {
	live := assertion.Condition{Name: "rule", Want: "not revoked and not expired"}
	if !s.Live(a.now()) {
		live.Fault = "the rule has ended"
	}
	t := TrustTried{Secret: s, Conditions: append([]assertion.Condition{live}, w.Meets(s.Trust)...)}
	if assertion.Broken(t.Conditions) != nil {
		return t
	}
	signature := assertion.Condition{Name: "signature", Want: "by a key of the issuer"}
	if err := a.Remote.Signed(ctx, s.Trust, w); err != nil {
		signature.Fault = err.Error()
	}
	t.Conditions = append(t.Conditions, signature)
	t.Accepted = signature.Fault == ""
	return t
}
