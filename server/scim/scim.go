// Package scim is the door for provisioning: an identity provider creates,
// changes and ends people and teams by it (RFC 7643, RFC 7644). It translates
// to and from the operations of package admin, and decides nothing itself.
//
// A person is a User, a team a Group, and only those who came by SCIM or were
// adopted by an administrator are there: technical users and everybody else are
// neither shown nor touched. A password is neither taken nor told.
//
// Every request needs a bearer (RFC 6750) whose account may do what it asks, by
// roles in the workspace system, and each document that describes the service
// too. There are no bulk requests and no /Me.
package scim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"postern/server/admin"
	"postern/server/certificate"
	"postern/server/token"
	"postern/server/usage"
	"postern/store"
)

// Prefix is the path that all of this is below.
const Prefix = "/scim/v2"

const (
	contentType = "application/scim+json"
	maxBody     = 4 << 20
)

// State is what this door reads itself.
type State interface {
	APIByName(name string) *store.API
	Team(id store.TeamID) *store.Team
	// Age is how old this node's state is.
	Age() time.Duration
}

// Options configures a Handler. Admin, Verifier, State and Issuer are required.
type Options struct {
	Admin    *admin.Admin
	Verifier *token.Verifier

	Certificates *certificate.Source // that callers present; nil finds those of handshakes
	State        State
	Issuer       string // the public URL: resources say where they are

	MaxStaleness time.Duration                  // an older state than this is not answered from; 0 means 60 s
	Address      func(*http.Request) netip.Addr // who sent a request; nil takes the connection's
	Usage        *usage.Recorder                // nil counts nothing
	Observe      func(operation string, status int)
	Log          *slog.Logger // nil means no log
}

// Handler serves everything below Prefix.
type Handler struct {
	Options
	users, groups *kind
	documents     documents
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.MaxStaleness == 0 {
		o.MaxStaleness = time.Minute
	}
	if o.Address == nil {
		o.Address = func(r *http.Request) netip.Addr {
			from, _ := netip.ParseAddrPort(r.RemoteAddr)
			return from.Addr().Unmap()
		}
	}
	if o.Observe == nil {
		o.Observe = func(string, int) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Issuer = strings.TrimSuffix(o.Issuer, "/")
	h := &Handler{Options: o, users: newKind(userSchema()), groups: newKind(groupSchema())}
	h.documents = h.describe()
	return h
}

// request is one that is let in, on its way to an answer.
type request struct {
	*http.Request
	by *admin.Actor
	id string // of the resource in the path
}

// answer is what is sent: a body, or nothing.
type answer struct {
	status   int
	body     any
	etag     string
	location string
}

// route is what a path and method lead to: the operation it counts as, and what
// does it.
type route struct {
	operation, method, pattern string
	do                         func(request) (answer, error)
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	by, refused := h.authenticate(r)
	if refused != nil {
		if refused.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="postern"`+refused.challenge)
		}
		if refused.err != nil {
			h.Log.InfoContext(r.Context(), "a request of provisioning was not let in", "error", refused.err)
		}
		h.fail(w, &Error{Status: refused.status, Detail: refused.message})
		h.Observe("scim", refused.status)
		return
	}
	found, id, err := h.route(r.Method, r.URL.Path) //nolint:contextcheck // routes are made here, and get the request when they are run
	if err != nil {
		if allowed := h.methods(r.URL.Path); err.Status == http.StatusMethodNotAllowed { //nolint:contextcheck // the same
			w.Header().Set("Allow", strings.Join(allowed, ", "))
		}
		h.fail(w, err)
		h.Observe("scim", err.Status)
		return
	}
	out, failed := found.do(request{r, by, id})
	if failed != nil {
		e := h.asError(r.Context(), found.operation, failed)
		h.fail(w, e)
		out.status = e.Status
	} else {
		h.send(w, out)
	}
	h.Observe(found.operation, out.status)
	h.count(by, found, out.status)
}

// routes are all there is below Prefix.
func (h *Handler) routes(segments []string) []route {
	var out []route
	add := func(operation, method, pattern string, do func(request) (answer, error)) {
		out = append(out, route{operation, method, pattern, do})
	}
	top := segments[0]
	switch {
	case top == "ServiceProviderConfig" && len(segments) == 1:
		add("scim.config", http.MethodGet, "/ServiceProviderConfig", h.serviceProviderConfig)
	case top == "ResourceTypes" && len(segments) <= 2:
		add("scim.types", http.MethodGet, "/ResourceTypes", h.resourceTypes)
	case top == "Schemas" && len(segments) <= 2:
		add("scim.schemas", http.MethodGet, "/Schemas", h.schemas)
	case top == ".search" && len(segments) == 1:
		add("scim.user.list", http.MethodPost, "/.search", h.searchAll)
	case top == "Users" && len(segments) == 1:
		add("scim.user.list", http.MethodGet, "/Users", h.listOf(h.users))
		add("scim.user.create", http.MethodPost, "/Users", h.createUser)
	case top == "Groups" && len(segments) == 1:
		add("scim.group.list", http.MethodGet, "/Groups", h.listOf(h.groups))
		add("scim.group.create", http.MethodPost, "/Groups", h.createGroup)
	case top == "Users" && len(segments) == 2 && segments[1] == ".search":
		add("scim.user.list", http.MethodPost, "/Users/.search", h.searchOf(h.users))
	case top == "Groups" && len(segments) == 2 && segments[1] == ".search":
		add("scim.group.list", http.MethodPost, "/Groups/.search", h.searchOf(h.groups))
	case top == "Users" && len(segments) == 2:
		add("scim.user.get", http.MethodGet, "/Users/{user}", h.getUser)
		add("scim.user.replace", http.MethodPut, "/Users/{user}", h.replaceUser)
		add("scim.user.edit", http.MethodPatch, "/Users/{user}", h.patchUser)
		add("scim.user.delete", http.MethodDelete, "/Users/{user}", h.deleteUser)
	case top == "Groups" && len(segments) == 2:
		add("scim.group.get", http.MethodGet, "/Groups/{group}", h.getGroup)
		add("scim.group.replace", http.MethodPut, "/Groups/{group}", h.replaceGroup)
		add("scim.group.edit", http.MethodPatch, "/Groups/{group}", h.patchGroup)
		add("scim.group.delete", http.MethodDelete, "/Groups/{group}", h.deleteGroup)
	}
	return out
}

// route finds what a request leads to, and the id in its path.
func (h *Handler) route(method, path string) (route, string, *Error) {
	segments := split(path)
	if segments[0] == "Me" || segments[0] == "Bulk" {
		return route{}, "", &Error{Status: http.StatusNotImplemented, Detail: "there is no /" + segments[0] + " here (RFC 7644 sections 3.7 and 3.11)"}
	}
	found := h.routes(segments)
	if len(found) == 0 {
		return route{}, "", notFound()
	}
	for _, r := range found {
		if r.method == method {
			id := ""
			if len(segments) == 2 {
				id = segments[1]
			}
			return r, id, nil
		}
	}
	return route{}, "", &Error{Status: http.StatusMethodNotAllowed, Detail: "this path does not answer this method"}
}

// methods are those that a path answers.
func (h *Handler) methods(path string) []string {
	var out []string
	for _, r := range h.routes(split(path)) {
		out = append(out, r.method)
	}
	slices.Sort(out)
	return out
}

// split returns the segments of a path below Prefix, at least one.
func split(path string) []string {
	return strings.Split(strings.TrimPrefix(strings.TrimPrefix(path, Prefix), "/"), "/")
}

func (h *Handler) send(w http.ResponseWriter, out answer) {
	if out.etag != "" {
		w.Header().Set("ETag", out.etag)
	}
	if out.location != "" {
		w.Header().Set("Location", out.location)
	}
	if out.body == nil {
		w.WriteHeader(out.status)
		return
	}
	writeJSON(w, out.status, out.body)
}

func (h *Handler) fail(w http.ResponseWriter, e *Error) {
	if e.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "2")
	}
	writeJSON(w, e.Status, e.body())
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic("scim: an answer that cannot be written: " + err.Error()) // strings, bools and maps always can
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the sender may be gone
}

// count remembers a success as the credential's last use, and what was forbidden
// as its last refusal.
func (h *Handler) count(by *admin.Actor, at route, status int) {
	e := usage.Event{Client: by.Client.ID, Workspace: by.Client.Workspace, Secret: by.Secret, Address: by.Address, Endpoint: at.method + " " + Prefix + at.pattern}
	switch {
	case h.Usage == nil:
		return
	case status < http.StatusBadRequest:
		e.Outcome = store.OutcomeAllowed
	case status == http.StatusForbidden:
		e.Outcome = store.OutcomeDenied
	default:
		return
	}
	h.Usage.Record(e)
}

// step makes of a resource what a request wants it to be.
type step func(resource) (resource, error)

// replacement reads the body of a PUT (RFC 7644 section 3.5.1).
func (r request) replacement(k *kind) (step, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	in, err := k.read(body)
	return func(resource) (resource, error) { return in, nil }, err
}

// patching reads the body of a PATCH (RFC 7644 section 3.5.2).
func (r request) patching(k *kind) (step, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}
	ops, err := parsePatch(body)
	return func(old resource) (resource, error) { return k.patch(old, ops) }, err
}

// body reads the JSON object that a request sends.
func (r request) body() (object, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != contentType && media != "application/json" {
		return nil, &Error{Status: http.StatusUnsupportedMediaType, Detail: "send the body as " + contentType}
	}
	text, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Detail: "the body is larger than 4 MB"}
	}
	if err != nil {
		return nil, badSyntax("the body ends too early")
	}
	return decodeObject(text)
}

// location is where a resource is.
func (h *Handler) location(k *kind, id string) string {
	return h.Issuer + Prefix + "/" + k.plural + "/" + id
}

// meta is what is said about a resource. An empty version is not known.
func (h *Handler) meta(k *kind, id string, created, modified store.Time, version string) resource {
	m := resource{
		"resourceType": k.name, "location": h.location(k, id),
		"created": stamp(created), "lastModified": stamp(max(created, modified)),
	}
	m.put("version", version)
	return m
}

func stamp(t store.Time) string { return t.Time().UTC().Format("2006-01-02T15:04:05.000Z") }

// unmodified reports whether the sender has this version already (RFC 7644
// section 3.14).
func (r request) unmodified(version string) bool {
	return version != "" && names(r.Header.Values("If-None-Match"), version)
}

// guarded refuses a change of a version that is not the one that the sender read.
func (r request) guarded(version string) error {
	wanted := r.Header.Values("If-Match")
	if len(wanted) == 0 || names(wanted, version) {
		return nil
	}
	return &Error{Status: http.StatusPreconditionFailed, Detail: "it was changed since you read it: read it again and repeat the change"}
}

// names reports whether a list of ETags has this one, compared weakly.
func names(headers []string, version string) bool {
	opaque := func(tag string) string { return strings.TrimPrefix(strings.TrimSpace(tag), "W/") }
	for _, header := range headers {
		for tag := range strings.SplitSeq(header, ",") {
			if tag = opaque(tag); tag == "*" || tag == opaque(version) {
				return true
			}
		}
	}
	return false
}

// attempts is how often a change is repeated when somebody else was first. A
// sender who named the version it read decides itself.
const attempts = 10

// change carries out a change, again when the record was changed meanwhile.
func (r request) change(ctx context.Context, do func() (answer, error)) (answer, error) {
	for i := 1; ; i++ {
		out, err := do()
		e, ok := errors.AsType[*admin.Error](err)
		if !ok || e.Kind != admin.Stale || i == attempts || len(r.Header.Values("If-Match")) > 0 || ctx.Err() != nil {
			return out, err
		}
	}
}
