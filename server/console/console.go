// Package console is the door for people with a browser: pages that are rendered
// here, without script, from the operations of package admin.
//
// So far it is the page of an invitation: the one-time link that sets a password.
// Every page is complete before its first byte is sent, is stored nowhere and
// loads nothing from elsewhere.
package console

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/gin-gonic/gin"

	"postern/server/admin"
	"postern/server/secret"
	"postern/server/telemetry"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets/console.css
var style []byte

// maxForm is how many bytes a form may have.
const maxForm = 16 << 10

// Options configures a Console. Admin and Address are required.
type Options struct {
	Admin   *admin.Admin
	Address func(*http.Request) netip.Addr // who sent a request
	Log     *slog.Logger                   // nil means no log
}

// Console serves the pages.
type Console struct {
	Options
	pages *template.Template
}

// New returns a Console.
func New(o Options) *Console {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Console{o, template.Must(template.ParseFS(templates, "templates/*.html"))}
}

// Mount adds the routes.
func (c *Console) Mount(r gin.IRoutes) {
	r.GET("/console/console.css", func(g *gin.Context) {
		g.Header("Cache-Control", "public, max-age=3600")
		g.Data(http.StatusOK, "text/css; charset=utf-8", style)
	})
	r.GET("/console/invitation", c.invitation)
	r.POST("/console/invitation", c.accept)
}

// invitationPage is what the page of an invitation shows.
type invitationPage struct {
	Token string // of the link; empty when it is of no use
	Done  string // the name to sign in with, once the password is set
	Error string
}

func (c *Console) invitation(g *gin.Context) {
	c.show(g, http.StatusOK, invitationPage{Token: g.Query("token")})
}

// accept sets the password. It needs no cookie and believes none: who has the
// token may do this, and nobody else.
func (c *Console) accept(g *gin.Context) {
	g.Request.Body = http.MaxBytesReader(g.Writer, g.Request.Body, maxForm)
	if err := g.Request.ParseForm(); err != nil {
		c.show(g, http.StatusBadRequest, invitationPage{Error: "The form could not be read; open the link again."})
		return
	}
	form := g.Request.PostForm
	page := invitationPage{Token: form.Get("token")}
	if form.Get("password") != form.Get("again") {
		page.Error = "The two passwords differ."
		c.show(g, http.StatusUnprocessableEntity, page)
		return
	}
	acc, _, err := c.Admin.AcceptInvitation(g.Request.Context(), secret.Of(page.Token), secret.Of(form.Get("password")),
		c.Address(g.Request), telemetry.RequestID(g.Request.Context()))
	if err == nil {
		c.show(g, http.StatusOK, invitationPage{Done: acc.Name})
		return
	}
	status := http.StatusInternalServerError
	page.Error = "Something went wrong here, and is in the server's log. Try again shortly."
	if e, ok := errors.AsType[*admin.Error](err); ok {
		status, page.Error = statusOf(e.Kind), e.Message
		for _, f := range e.Faults {
			page.Error = "The " + f.Place + " " + f.Message + "."
		}
	}
	if status >= http.StatusInternalServerError {
		c.Log.ErrorContext(g.Request.Context(), "an invitation was not accepted", "error", err)
	}
	c.show(g, status, page)
}

func statusOf(k admin.Kind) int {
	switch k {
	case admin.TooMany:
		return http.StatusTooManyRequests
	case admin.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusUnprocessableEntity
	}
}

// show sends a page, whole or not at all.
func (c *Console) show(g *gin.Context, status int, page invitationPage) {
	var out bytes.Buffer
	if err := c.pages.ExecuteTemplate(&out, "invitation.html", page); err != nil {
		c.Log.ErrorContext(g.Request.Context(), "a page could not be made", "error", err)
		g.String(http.StatusInternalServerError, "This page could not be made; request %s.", telemetry.RequestID(g.Request.Context()))
		return
	}
	for name, value := range map[string]string{
		"Cache-Control":           "no-store",
		"Referrer-Policy":         "no-referrer", // the address holds the token
		"X-Frame-Options":         "DENY",
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
	} {
		g.Header(name, value)
	}
	g.Data(status, "text/html; charset=utf-8", out.Bytes())
}
