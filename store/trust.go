package store

// TrustRule says which JWTs of another issuer stand in the place of a client's
// secret: those of one issuer whose subject and claims are as it says, all of them.
type TrustRule struct {
	Issuer  string       `json:"issuer"`            // the JWT's iss, byte for byte
	Subject string       `json:"subject,omitempty"` // a pattern of its sub; empty is any
	Claims  []TrustClaim `json:"claims,omitempty"`
	JWKS    string       `json:"jwks,omitempty"`     // the issuer's public keys, as a JWK Set
	JWKSURI string       `json:"jwks_uri,omitempty"` // or where they are; neither: where the issuer's discovery document says
	// Wide is why the rule was too wide and made all the same, by somebody who
	// said so; empty where it is not.
	Wide string `json:"wide,omitempty"`
}

// TrustClaim is what a claim of a JWT has to be.
type TrustClaim struct {
	Name    string `json:"name"`    // of a claim, or a JSON pointer (RFC 6901) to what is inside one
	Pattern string `json:"pattern"` // in which * stands for what has no : and no /
}
