package console

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"

	"postern/server/admin"
	"postern/server/secret"
	"postern/server/telemetry"
	"postern/store"
)

// OIDC is the identity provider by which people may sign in (OpenID Connect Core,
// authorization code flow with PKCE).
type OIDC struct {
	Issuer       string
	ClientID     string
	ClientSecret secret.Secret // none is a public client
	Scopes       []string
	NameClaim    string // empty is preferred_username, else email
	GroupsClaim  string
	HTTP         *http.Client // by which the provider is called
	Only         bool         // nobody signs in by password
}

// provider is the identity provider and what it said of itself, once it was asked.
type provider struct {
	OIDC

	asking singleflight.Group
	mu     sync.Mutex
	found  *discovered
}

// Host names the provider to people.
func (p *provider) Host() string {
	u, err := url.Parse(p.Issuer)
	if err != nil {
		return p.Issuer
	}
	return u.Hostname()
}

type discovered struct {
	*oidc.Provider
	endpoint oauth2.Endpoint
}

// discovered asks the provider for its addresses, once: a failure is asked again.
func (p *provider) discovered(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	found := p.found
	p.mu.Unlock()
	if found != nil {
		return found, nil
	}
	out, err, _ := p.asking.Do("", func() (any, error) {
		// Others may wait for it, too, and keys are fetched by it later.
		made, err := oidc.NewProvider(p.calling(context.WithoutCancel(ctx)), p.Issuer)
		if err != nil {
			return nil, err
		}
		d := &discovered{made, made.Endpoint()}
		var says struct {
			Methods []string `json:"token_endpoint_auth_methods_supported"`
		}
		if err := made.Claims(&says); err != nil {
			return nil, err
		}
		// Without the list it is Basic (OpenID Connect Discovery section 3). Trying
		// both would send a code twice.
		d.endpoint.AuthStyle = oauth2.AuthStyleInHeader
		if says.Methods != nil && !slices.Contains(says.Methods, "client_secret_basic") || !p.ClientSecret.IsSet() {
			d.endpoint.AuthStyle = oauth2.AuthStyleInParams
		}
		p.mu.Lock()
		p.found = d
		p.mu.Unlock()
		return d, nil
	})
	if err != nil {
		return nil, &admin.Error{
			Kind: admin.Unavailable, Message: "the identity provider does not answer as it should; try again shortly", Err: fmt.Errorf("ask %s for its addresses: %w", p.Issuer, err),
		}
	}
	found, _ = out.(*discovered)
	return found, nil
}

func (p *provider) calling(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.HTTP)
}

func (c *Console) oauth(d *discovered) *oauth2.Config {
	return &oauth2.Config{
		ClientID: c.provider.ClientID, ClientSecret: c.provider.ClientSecret.Reveal(), Endpoint: d.endpoint, Scopes: c.provider.Scopes,
		RedirectURL: strings.TrimSuffix(c.Issuer, "/") + "/console/oidc/callback",
	}
}

// oidcCookie holds what a sign-in by the provider began with, sealed.
const (
	oidcCookie = "postern-oidc"
	oidcLife   = 10 * time.Minute
)

// begun is what the answer of the provider must belong to.
type begun struct {
	State, Nonce, Verifier string
	Next                   string
	Session                string // that of before, which ends
	Again                  bool   // somebody who is signed in proves who it is
	At                     store.Time
}

// begunFor binds the seal to its use: no cursor of a list opens as one.
type begunFor string

// setBegun gives the browser the cookie; empty takes it away. It is lax: the
// browser comes back from another site.
func (v *visit) setBegun(sealed string) {
	name, age := oidcCookie, -1
	if sealed != "" {
		age = int(oidcLife / time.Second)
	}
	if v.console.secure {
		name = "__Host-" + name
	}
	cookie := v.console.cookie(name, sealed, age) //nolint:gosec // see cookie
	cookie.SameSite = http.SameSiteLaxMode
	http.SetCookie(v.Writer, cookie)
}

// begun reads the cookie, which is good for ten minutes.
func (v *visit) begun() (*begun, error) {
	name := oidcCookie
	if v.console.secure {
		name = "__Host-" + name
	}
	none := &admin.Error{Kind: admin.Unauthenticated, Message: "this sign-in was not begun in this browser, or more than ten minutes ago; begin it again"}
	sealed, err := v.Request.Cookie(name)
	if err != nil {
		return nil, none
	}
	b := &begun{}
	err = v.console.Admin.OpenCursor(sealed.Value, begunFor("sign in"), b)
	if e, ok := errors.AsType[*admin.Error](err); ok && e.Kind == admin.Invalid {
		return nil, none
	}
	if err != nil {
		return nil, err
	}
	if b.At.Add(oidcLife).Over(store.At(v.console.Now())) {
		return nil, none
	}
	return b, nil
}

// startOIDC sends the browser to the provider. With again it asks that the person
// proves once more who they are.
func startOIDC(v *visit) error {
	c := v.console
	d, err := c.provider.discovered(v.Request.Context())
	if err != nil {
		return err
	}
	b := begun{
		State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(),
		Next: localPath(v.Query("next")), Session: v.session.Reveal(), Again: v.Query("again") != "", At: store.At(c.Now()),
	}
	sealed, err := c.Admin.SealCursor(begunFor("sign in"), b)
	if err != nil {
		return err
	}
	options := []oauth2.AuthCodeOption{oidc.Nonce(b.Nonce), oauth2.S256ChallengeOption(b.Verifier)}
	if b.Again {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"), oauth2.SetAuthURLParam("max_age", "0"))
	}
	v.setBegun(sealed)
	v.headers()
	v.Redirect(http.StatusSeeOther, c.oauth(d).AuthCodeURL(b.State, options...))
	return nil
}

// endOIDC takes the answer of the provider and starts a session. The browser goes
// on by a page of ours: it came from another site, and would keep the strict
// cookie of the session back on a redirect.
func endOIDC(v *visit) error {
	c, ctx := v.console, v.Request.Context()
	b, err := v.begun()
	if err != nil {
		return err
	}
	v.setBegun("")
	if subtle.ConstantTimeCompare([]byte(v.Query("state")), []byte(b.State)) != 1 {
		return &admin.Error{Kind: admin.Unauthenticated, Message: "this answer belongs to another sign-in; begin it again"}
	}
	// Whose answer it is, of several providers (RFC 9207).
	if iss, said := v.GetQuery("iss"); said && iss != c.provider.Issuer {
		return &admin.Error{Kind: admin.Unauthenticated, Message: "this answer is another provider's; begin the sign-in again"}
	}
	if code, said := v.GetQuery("error"); said {
		if !errorCode.MatchString(code) {
			code = "an error"
		}
		return &admin.Error{Kind: admin.Unauthenticated, Message: "the identity provider answered " + code + "; begin the sign-in again, or ask whoever looks after it"}
	}
	from := c.Address(v.Request)
	if err := c.Admin.AttemptOIDC(from); err != nil {
		return err
	}
	id, err := c.identity(ctx, v.Query("code"), b)
	if err != nil {
		return err
	}
	by, err := c.Admin.SignInOIDC(ctx, *id, from, telemetry.RequestID(ctx))
	if err != nil {
		return err
	}
	if err := c.Admin.EndSession(ctx, by, secret.Of(b.Session)); err != nil {
		return err
	}
	text, err := c.Admin.StartSession(ctx, by)
	if err != nil {
		return err
	}
	v.setSession(text)
	return v.bounce(b.Next)
}

// errorCode is one of RFC 6749 section 4.1.2.1, or of an extension.
var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// badAnswer says as much as a stranger should know; the log has the rest.
func (c *Console) badAnswer(ctx context.Context, doing string, err error) error {
	c.Log.WarnContext(ctx, "nobody is signed in by the identity provider", "doing", doing, "error", err)
	return &admin.Error{Kind: admin.Unauthenticated, Message: "the identity provider's answer is not good; begin the sign-in again"}
}

// identity exchanges a code for who signed in. Claims that the ID token lacks are
// asked for at the userinfo endpoint.
func (c *Console) identity(ctx context.Context, code string, b *begun) (*admin.Identity, error) {
	p := c.provider
	d, err := p.discovered(ctx)
	if err != nil {
		return nil, err
	}
	ctx = p.calling(ctx)
	token, err := c.oauth(d).Exchange(ctx, code, oauth2.VerifierOption(b.Verifier))
	if err != nil {
		return nil, c.badAnswer(ctx, "exchange a code", withoutBody(err))
	}
	raw, _ := token.Extra("id_token").(string)
	verified, err := d.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: c.Now}).Verify(ctx, raw)
	if err != nil {
		return nil, c.badAnswer(ctx, "verify an ID token", err)
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(b.Nonce)) != 1 {
		return nil, c.badAnswer(ctx, "verify an ID token", errors.New("it has another nonce"))
	}
	said := map[string]any{}
	if err := verified.Claims(&said); err != nil {
		return nil, c.badAnswer(ctx, "read an ID token", err)
	}
	if d.UserInfoEndpoint() != "" && !p.complete(said) {
		info, err := d.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return nil, c.badAnswer(ctx, "ask for claims", err)
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return nil, c.badAnswer(ctx, "read claims", err)
		}
		if info.Subject != verified.Subject { // OpenID Connect Core section 5.3.4
			return nil, c.badAnswer(ctx, "read claims", errors.New("they are somebody else's"))
		}
		for name, value := range more {
			if _, there := said[name]; !there {
				said[name] = value
			}
		}
	}
	id := p.read(said)
	id.Issuer, id.Subject = verified.Issuer, verified.Subject
	if b.Again {
		// Asked to see the person anew, the provider says when it did (section 3.1.2.1).
		if at := b.At.Time().Add(-time.Minute); id.ProvedAt.Before(at) {
			return nil, &admin.Error{Kind: admin.Unauthenticated, Message: "the identity provider did not ask who you are; sign in there once more"}
		}
	}
	return id, nil
}

// complete reports whether nothing that is wanted is missing.
func (p *provider) complete(said map[string]any) bool {
	name := p.NameClaim
	if name == "" {
		name = "preferred_username"
	}
	for _, claim := range []string{name, p.GroupsClaim, "name", "email"} {
		if _, there := said[claim]; !there {
			return false
		}
	}
	return true
}

// read takes out of claims who somebody is.
func (p *provider) read(said map[string]any) *admin.Identity {
	text := func(claim string) string { s, _ := said[claim].(string); return strings.TrimSpace(s) }
	id := &admin.Identity{DisplayName: text("name"), Email: text("email")}
	switch v := said["email_verified"].(type) {
	case bool:
		id.EmailVerified = v
	case string: // some providers write it so
		id.EmailVerified = v == "true"
	}
	id.Name = text(p.NameClaim)
	if p.NameClaim == "" {
		if id.Name = text("preferred_username"); id.Name == "" {
			id.Name = id.Email
		}
	}
	switch groups := said[p.GroupsClaim].(type) {
	case string:
		id.Groups = []string{groups}
	case []any:
		for _, g := range groups {
			if name, ok := g.(string); ok {
				id.Groups = append(id.Groups, name)
			}
		}
	}
	if at, ok := said["auth_time"].(float64); ok {
		id.ProvedAt = time.Unix(int64(at), 0)
	}
	return id
}

// withoutBody leaves out of an error of the token endpoint what it answered: it
// may hold anything.
func withoutBody(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("the provider answered %s %q", e.Response.Status, e.ErrorCode)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
