package api

import (
	"context"

	"postern/server/admin"
	"postern/server/assertion"
	"postern/store"
)

// Trust is a rule about the JWTs of another issuer that stand in the place of a
// secret.
type Trust struct {
	Issuer  string       `json:"issuer" maxLength:"1024" doc:"The iss of the JWTs, an https URL, byte for byte."`
	Subject string       `json:"subject,omitempty" maxLength:"512" doc:"A pattern of their sub, in which * stands for any run without : and /; empty is any."`
	Claims  []TrustClaim `json:"claims,omitempty" maxItems:"10" doc:"What further claims have to be, each of them."`
	JWKS    string       `json:"jwks,omitempty" maxLength:"16384" doc:"The issuer's public keys, a JWK Set."`
	JWKSURI string       `json:"jwks_uri,omitempty" maxLength:"1024" doc:"Or where they are; neither: where the issuer's discovery document says."`
}

// TrustClaim is what a claim has to be.
type TrustClaim struct {
	Name    string `json:"name" maxLength:"512" doc:"Of a claim, or a JSON pointer to what is inside one, such as /kubernetes.io/namespace."`
	Pattern string `json:"pattern" maxLength:"512" doc:"Of its value, of one of its values where it is a list; numbers and booleans are as JSON spells them."`
}

// TrustMake is a trust rule to make.
type TrustMake struct {
	Trust

	AllowWide bool `json:"allow_wide,omitempty" doc:"Make it though it is too wide, such as one that pins nothing."`
}

// TrustShown is a trust rule as it is shown.
type TrustShown struct {
	Trust

	Wide string `json:"wide,omitempty" doc:"Why it is too wide, where it was made all the same."`
}

// TrustTest is the body of POST /clients/{client}/trust/test.
type TrustTest struct {
	JWT string `json:"jwt" maxLength:"16384" doc:"As the workload has it. It is not kept, and not in the answer."`
}

// TrustReport says whether a JWT would authenticate a client.
type TrustReport struct {
	Accepted   bool             `json:"accepted"`
	Conditions []TrustCondition `json:"conditions" doc:"Of every JWT, and of the client."`
	Rules      []TrustTried     `json:"rules" doc:"The client's trust rules, of which one has to hold wholly."`
}

// TrustTried is how a JWT stands to one rule.
type TrustTried struct {
	SecretID   string           `json:"secret_id"`
	Label      string           `json:"label"`
	Accepted   bool             `json:"accepted"`
	Conditions []TrustCondition `json:"conditions"`
}

// TrustCondition is one thing that a JWT has to be.
type TrustCondition struct {
	Name  string `json:"name" doc:"Such as audience, subject, claim repository or signature."`
	Holds bool   `json:"holds"`
	Want  string `json:"want,omitempty"`
	Got   string `json:"got,omitempty" doc:"What the JWT says, cut at 200 bytes."`
	Why   string `json:"why,omitempty" doc:"Why it does not hold."`
}

func (m *mounted) trust() {
	register(m, "client.trust.test", func(ctx context.Context, by *admin.Actor, in *struct {
		ClientPath
		Body TrustTest
	},
	) (*struct{ Body TrustReport }, error) {
		r, err := m.Admin.TestTrust(ctx, by, in.id(), in.Body.JWT)
		if err != nil {
			return nil, err
		}
		out := TrustReport{Accepted: r.Accepted, Conditions: wireConditions(r.Conditions), Rules: []TrustTried{}}
		for _, t := range r.Rules {
			out.Rules = append(out.Rules, TrustTried{string(t.Secret.ID), t.Secret.Label, t.Accepted, wireConditions(t.Conditions)})
		}
		return &struct{ Body TrustReport }{out}, nil
	})
}

func wireConditions(all []assertion.Condition) []TrustCondition {
	out := make([]TrustCondition, len(all))
	for i, c := range all {
		out[i] = TrustCondition{c.Name, c.Fault == "", c.Want, short(c.Got), c.Fault}
	}
	return out
}

// rule is the rule to make, or nil.
func (t *TrustMake) rule() *admin.Trust {
	if t == nil {
		return nil
	}
	r := store.TrustRule{Issuer: t.Issuer, Subject: t.Subject, JWKS: t.JWKS, JWKSURI: t.JWKSURI}
	for _, c := range t.Claims {
		r.Claims = append(r.Claims, store.TrustClaim(c))
	}
	return &admin.Trust{Rule: r, AllowWide: t.AllowWide}
}

// wireTrust is nil where there is no rule.
func wireTrust(r *store.TrustRule) *TrustShown {
	if r == nil {
		return nil
	}
	out := &TrustShown{Trust: Trust{Issuer: r.Issuer, Subject: r.Subject, JWKS: r.JWKS, JWKSURI: r.JWKSURI}, Wide: r.Wide}
	for _, c := range r.Claims {
		out.Claims = append(out.Claims, TrustClaim(c))
	}
	return out
}
