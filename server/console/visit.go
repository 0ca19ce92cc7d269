package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"postern/server/admin"
	"postern/server/secret"
	"postern/server/telemetry"
	"postern/store"
)

// visit is one request, with who sent it.
type visit struct {
	*gin.Context
	console *Console
	session secret.Secret
	by      *admin.Actor // nil on pages that need no session
	fresh   bool         // who it is was proved a moment ago
	form    url.Values   // of a change

	// workspace is the one that was chosen in the switcher, workspaces all that
	// may be: nil and empty for a person who may see none.
	workspace  *store.Workspace
	workspaces []*store.Workspace
}

// handler answers a visit, or returns why it cannot: an *admin.Error becomes a
// page that says so.
type handler func(v *visit) error

// open is for pages that need no session. What is sent to them must come from a
// page of ours all the same.
func (c *Console) open(h handler) gin.HandlerFunc {
	return func(g *gin.Context) {
		v := &visit{Context: g, console: c, session: c.sessionCookie(g.Request)}
		v.answer(func(v *visit) error {
			if g.Request.Method == http.MethodPost {
				if !c.sameOrigin(g.Request) {
					return errForeign
				}
				if err := v.readForm(maxOpenForm); err != nil {
					return err
				}
			}
			return h(v)
		})
	}
}

// page is for what reads: it needs a session.
func (c *Console) page(h handler) gin.HandlerFunc {
	return func(g *gin.Context) {
		v := &visit{Context: g, console: c}
		v.answer(func(v *visit) error {
			if done, err := v.enter(); done || err != nil {
				return err
			}
			return h(v)
		})
	}
}

// change is for what writes: it needs a session, and a form from a page of ours.
func (c *Console) change(h handler) gin.HandlerFunc {
	return func(g *gin.Context) {
		v := &visit{Context: g, console: c}
		v.answer(func(v *visit) error {
			if !c.sameOrigin(g.Request) {
				return errForeign
			}
			if done, err := v.enter(); done || err != nil {
				return err
			}
			if err := v.readForm(maxForm); err != nil {
				return err
			}
			return h(v)
		})
	}
}

// sure is change for secrets, owners and keys: whose session has been open for a
// while gives the password again, and the form goes on from there.
func (c *Console) sure(h handler) gin.HandlerFunc {
	return c.change(func(v *visit) error {
		if v.fresh {
			return h(v)
		}
		return v.askAgain(h)
	})
}

// answer runs a handler and turns its error into a page.
func (v *visit) answer(h handler) {
	if err := h(v); err != nil {
		v.failed(err)
	}
}

// errForeign refuses a form that another site sent.
var errForeign = &admin.Error{Kind: admin.Forbidden, Message: "this form was not sent by a page of this console; open the page here and send it again"}

// How many bytes a form may have: of anybody, of who is signed in, and with a
// file, since an OpenAPI document may have 2 MB.
const (
	maxOpenForm = 16 << 10
	maxForm     = 256 << 10
	maxUpload   = 2<<20 + maxForm
)

// readForm reads what was sent.
func (v *visit) readForm(limit int64) error {
	body := v.Request.Body
	v.Request.Body = http.MaxBytesReader(v.Writer, body, limit)
	var err error
	switch kind, _, _ := strings.Cut(v.GetHeader("Content-Type"), ";"); strings.ToLower(strings.TrimSpace(kind)) {
	case "application/x-www-form-urlencoded":
		err = v.Request.ParseForm()
	case "multipart/form-data":
		if limit < maxForm {
			return errNoForm
		}
		v.Request.Body = http.MaxBytesReader(v.Writer, body, maxUpload)
		err = v.Request.ParseMultipartForm(maxUpload)
	default:
		return errNoForm
	}
	if err != nil {
		return &admin.Error{Kind: admin.Invalid, Message: "the form could not be read: it is too large, or cut off; send it again", Err: err}
	}
	v.form = v.Request.PostForm
	if v.Request.MultipartForm != nil {
		v.form = v.Request.MultipartForm.Value
	}
	return nil
}

var errNoForm = &admin.Error{Kind: admin.Invalid, Message: "a form was expected"}

// sameOrigin reports whether a page of ours sent a request: browsers say so in
// Sec-Fetch-Site, older ones only by Origin. Who says neither is refused.
func (c *Console) sameOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	return r.Header.Get("Origin") == c.origin
}

// enter finds out whose session it is, and which workspace was chosen. done says
// that it has answered: by the page to sign in, or that of a step before this one.
func (v *visit) enter() (done bool, err error) {
	c, r := v.console, v.Request
	v.session = c.sessionCookie(r)
	in, err := c.Admin.Session(r.Context(), v.session, c.Address(r), telemetry.RequestID(r.Context()))
	if e, ok := errors.AsType[*admin.Error](err); ok && e.Kind == admin.Unauthenticated {
		if !v.session.IsSet() && v.bounced() {
			return true, nil
		}
		v.toSignIn()
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if in.NeedsCode {
		v.Redirect(http.StatusSeeOther, "/console/code?"+url.Values{"next": {v.here()}}.Encode())
		return true, nil
	}
	v.by, v.fresh = in.Actor, in.Fresh
	if v.by.Account().MustChange && v.FullPath() != "/console/password" {
		v.Redirect(http.StatusSeeOther, "/console/password")
		return true, nil
	}
	return false, v.chooseWorkspace()
}

// bounced answers a page that a link elsewhere opened. The browser keeps a strict
// cookie back then, though somebody may be signed in: a page of ours that leads
// to the same place gets it.
func (v *visit) bounced() bool {
	if v.Request.Method != http.MethodGet || v.GetHeader("Sec-Fetch-Site") != "cross-site" {
		return false
	}
	_ = v.bounce(v.here())
	return true
}

// bounce answers with a page that goes to another one at once.
func (v *visit) bounce(path string) error {
	return v.show("bounce", http.StatusOK, page{Title: "One moment", Data: path})
}

// here is the page to come back to after signing in: this one, or where the form
// that was sent stands.
func (v *visit) here() string {
	if v.Request.Method == http.MethodGet {
		return v.Request.URL.RequestURI()
	}
	if from, err := url.Parse(v.GetHeader("Referer")); err == nil && from.Scheme+"://"+from.Host == v.console.origin {
		return localPath(from.RequestURI())
	}
	return home
}

func (v *visit) toSignIn() {
	to := "/console/sign-in"
	if next := v.here(); next != home {
		to += "?" + url.Values{"next": {next}}.Encode()
	}
	if v.GetHeader("HX-Request") != "" {
		v.Header("HX-Redirect", to) // a part of a page must not become the page to sign in
		v.Status(http.StatusNoContent)
		return
	}
	v.Redirect(http.StatusSeeOther, to)
}

// home is the first page.
const home = "/console"

// localPath returns a path of this console as it is, and the first page for
// anything else: nobody is sent elsewhere by a link to us.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(next, "\\\r\n\t") {
		return home
	}
	if u.Path != home && !strings.HasPrefix(u.Path, home+"/") || strings.Contains(u.Path, "/..") {
		return home
	}
	return next
}

// chooseWorkspace finds the workspace that the switcher is at.
func (v *visit) chooseWorkspace() (err error) {
	if v.workspaces, err = v.console.Admin.Workspaces(v.Request.Context(), v.by); err != nil || len(v.workspaces) == 0 {
		return err
	}
	wanted, _ := v.Cookie(workspaceCookie)
	v.workspace = v.workspaces[0]
	for _, w := range v.workspaces {
		if w.Name == wanted {
			v.workspace = w
			return nil
		}
		if v.workspace.Name == store.SystemWorkspace {
			v.workspace = w // that one is for administration, and few clients live there
		}
	}
	return nil
}

// may reports whether the rules let the person do an operation in the chosen
// workspace: what they do not allow is not offered.
func (v *visit) may(operation string) bool {
	return v.workspace != nil && v.console.Admin.May(v.by, operation, v.workspace.ID)
}

// done answers a change: the browser goes on to a page, which shows a message of
// messages.
func (v *visit) done(message, to string) error {
	v.toast(message)
	v.Redirect(http.StatusSeeOther, to)
	return nil
}
