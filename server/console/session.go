package console

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"postern/server/admin"
	"postern/server/secret"
	"postern/server/telemetry"
)

// The names of cookies. That of the session is another one behind TLS, where
// browsers promise that nobody else set it (RFC 6265bis section 4.1.3.2).
const (
	sessionName       = "postern-session"
	secureSessionName = "__Host-" + sessionName
	workspaceCookie   = "postern-workspace"
	themeCookie       = "postern-theme"
	toastCookie       = "postern-toast"
)

func (c *Console) sessionCookie(r *http.Request) secret.Secret {
	name := sessionName
	if c.secure {
		name = secureSessionName
	}
	if got, err := r.Cookie(name); err == nil && got.Value != "" {
		return secret.Of(got.Value)
	}
	return secret.Secret{}
}

// setSession gives the browser its session; the zero Secret takes it away.
func (v *visit) setSession(text secret.Secret) {
	name := sessionName
	if v.console.secure {
		name = secureSessionName
	}
	cookie := v.console.cookie(name, "", -1) //nolint:gosec // see cookie
	if text.IsSet() {
		cookie.Value, cookie.MaxAge = text.Reveal(), 0 // until the browser closes, and as long as the store says
	}
	http.SetCookie(v.Writer, cookie)
}

// cookie is one that no script reads and no other site makes the browser send.
func (c *Console) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure behind TLS; a server on one machine has none
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteStrictMode,
	}
}

// signInForm is what the page to sign in shows.
type signInForm struct {
	Form form
	Next string
}

func signInPage(v *visit) error {
	next := localPath(v.Query("next"))
	in, err := v.console.Admin.Session(v.Request.Context(), v.session, v.console.Address(v.Request), telemetry.RequestID(v.Request.Context()))
	if err == nil && !in.NeedsCode {
		v.Redirect(http.StatusSeeOther, next)
		return nil
	}
	return v.show("sign-in", http.StatusOK, page{Title: "Sign in", Data: signInForm{Next: next}})
}

func signIn(v *visit) error {
	c, ctx := v.console, v.Request.Context()
	if c.provider != nil && c.provider.Only {
		return &admin.Error{Kind: admin.Forbidden, Message: "nobody signs in here by a password; go by the identity provider"}
	}
	by, err := c.Admin.SignIn(ctx, v.form.Get("name"), secret.Of(v.form.Get("password")), c.Address(v.Request), telemetry.RequestID(ctx))
	if err != nil {
		f := signInForm{Form: form{Values: url.Values{"name": {v.form.Get("name")}}}, Next: localPath(v.form.Get("next"))}
		if !f.Form.take(err) {
			return err
		}
		v.limited(err)
		return v.show("sign-in", statusOf(err), page{Title: "Sign in", Data: f})
	}
	// The one before, if any, is over: an id that somebody knew is of no use now.
	if err := c.Admin.EndSession(ctx, by, v.session); err != nil {
		return err
	}
	text, err := c.Admin.StartSession(ctx, by)
	if err != nil {
		return err
	}
	v.setSession(text)
	v.Redirect(http.StatusSeeOther, localPath(v.form.Get("next"))) // by way of the code, where there is a second factor
	return nil
}

func codePage(v *visit) error {
	return v.show("code", http.StatusOK, page{Title: "Enter your code", Data: signInForm{Next: localPath(v.Query("next"))}})
}

func enterCode(v *visit) error {
	c, ctx := v.console, v.Request.Context()
	next := localPath(v.form.Get("next"))
	text, err := c.Admin.EnterCode(ctx, v.session, v.form.Get("code"), c.Address(v.Request), telemetry.RequestID(ctx))
	if err != nil {
		f := signInForm{Next: next}
		if !f.Form.take(err) {
			return err
		}
		v.limited(err)
		return v.show("code", statusOf(err), page{Title: "Enter your code", Data: f})
	}
	v.setSession(text)
	v.Redirect(http.StatusSeeOther, next)
	return nil
}

func signOut(v *visit) error {
	c, ctx := v.console, v.Request.Context()
	in, err := c.Admin.Session(ctx, v.session, c.Address(v.Request), telemetry.RequestID(ctx))
	if err == nil {
		err = c.Admin.EndSession(ctx, in.Actor, v.session)
	}
	if e, ok := errors.AsType[*admin.Error](err); err != nil && (!ok || e.Kind != admin.Unauthenticated) {
		return err // it goes on, and the person must know
	}
	v.setSession(secret.Secret{})
	return v.done("signed out", "/console/sign-in")
}

// again is the name of the field that holds the password when a change asks for
// it once more.
const again = "_password"

// askAgain asks for the password before a change goes on. The form that was sent
// waits in the page.
func (v *visit) askAgain(h handler) error {
	ask := struct {
		Form   form
		Action string
		Back   string // the page that the form stands on
		Kept   []kept
	}{Action: v.Request.URL.RequestURI(), Back: v.here()}
	status := http.StatusOK
	if v.form.Has(again) {
		err := v.console.Admin.Freshen(v.Request.Context(), v.by, v.session, secret.Of(v.form.Get(again)))
		if err == nil {
			v.form.Del(again)
			v.fresh = true
			return h(v)
		}
		if !ask.Form.take(err) {
			return err
		}
		v.limited(err)
		status = statusOf(err)
	}
	for _, name := range slices.Sorted(maps.Keys(v.form)) {
		for _, value := range v.form[name] {
			if name != again {
				ask.Kept = append(ask.Kept, kept{name, value})
			}
		}
	}
	return v.show("again", status, page{Title: "Confirm that it is you", Data: ask})
}

// kept is a field of a form that waits.
type kept struct{ Name, Value string }

func passwordPage(v *visit) error {
	return v.show("password", http.StatusOK, page{Title: "Change your password", Section: "profile", Data: passwordForm{Must: v.by.Account().MustChange}})
}

type passwordForm struct {
	Form form
	Must bool // it was set by somebody else
}

func changePassword(v *visit) error {
	ctx := v.Request.Context()
	f := passwordForm{Must: v.by.Account().MustChange}
	next := v.form.Get("new")
	var err error
	if next != v.form.Get("again") {
		f.Form.fault("again", "is not the same as the new password")
	} else if _, err = v.console.Admin.ChangePassword(ctx, v.by, secret.Of(v.form.Get("current")), secret.Of(next)); err == nil {
		text, err := v.console.Admin.StartSession(ctx, v.by) // the password ended the one before
		if err != nil {
			return err
		}
		v.setSession(text)
		return v.done("password changed", home)
	}
	if err != nil && !f.Form.take(err) {
		return err
	}
	v.limited(err)
	return v.show("password", http.StatusUnprocessableEntity, page{Title: "Change your password", Section: "profile", Data: f})
}

// limited says when it is worth to come again.
func (v *visit) limited(err error) {
	if e, ok := errors.AsType[*admin.Error](err); ok && e.RetryAfter > 0 {
		v.Header("Retry-After", seconds(e.RetryAfter))
	}
}

func switchWorkspace(v *visit) error {
	name := v.form.Get("name")
	for _, w := range v.workspaces {
		if w.Name == name {
			http.SetCookie(v.Writer, v.console.cookie(workspaceCookie, name, 365*24*3600))
		}
	}
	v.Redirect(http.StatusSeeOther, localPath(v.form.Get("next")))
	return nil
}

func switchTheme(v *visit) error {
	if theme := v.form.Get("theme"); theme == "light" || theme == "dark" || theme == "" {
		http.SetCookie(v.Writer, v.console.cookie(themeCookie, theme, 365*24*3600))
	}
	v.Redirect(http.StatusSeeOther, localPath(v.form.Get("next")))
	return nil
}
