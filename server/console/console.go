// Package console is the door for people with a browser: pages that are rendered
// here from the operations of package admin. A page never does what REST and the
// command line cannot.
//
// Every page is complete before its first byte is sent, is stored nowhere, loads
// nothing from elsewhere and works without script; htmx and app.js make it
// quicker to use. A request that changes something must come from a page of this
// origin (see sameOrigin), and its session cookie goes nowhere else.
package console

import (
	"html/template"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"postern/server/admin"
)

// Options configures a Console. Admin, Issuer and Address are required.
type Options struct {
	Admin   *admin.Admin
	Issuer  string                         // the public URL
	Version string                         // of the program, shown to administrators
	Address func(*http.Request) netip.Addr // who sent a request
	// Reference is the OpenAPI document of the REST API, in JSON; nil is none.
	Reference func() []byte
	OIDC      *OIDC            // by which people sign in, too; nil is none
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // nil means no log
}

// Console serves the pages.
type Console struct {
	Options
	origin string // of the public URL, as browsers send it
	secure bool   // the public URL is https: cookies never leave it
	assets map[string]asset
	hash   string // of all assets, in their addresses
	pages  map[string]*template.Template

	provider *provider // of OIDC

	guidesOnce  sync.Once
	guides      map[string]guide
	guidesError error

	referenceOnce  sync.Once
	reference      *reference
	referenceError error
}

// New returns a Console.
func New(o Options) *Console {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Console{Options: o}
	if u, err := url.Parse(o.Issuer); err == nil {
		c.origin, c.secure = u.Scheme+"://"+u.Host, u.Scheme == "https"
	}
	if o.OIDC != nil {
		c.provider = &provider{OIDC: *o.OIDC}
	}
	c.assets, c.hash = readAssets()
	c.pages = c.parse()
	return c
}

// Mount adds every route. open needs no session, page reads, change writes, and
// sure is a change that wants to know again who it is (see visit.fresh).
func (c *Console) Mount(r gin.IRoutes) {
	r.GET("/console/assets/:hash/:name", c.asset)
	r.GET("/console/", func(g *gin.Context) { g.Redirect(http.StatusMovedPermanently, home) })

	r.GET("/console/sign-in", c.open(signInPage))
	r.POST("/console/sign-in", c.open(signIn))
	r.GET("/console/code", c.open(codePage))
	r.POST("/console/code", c.open(enterCode))
	r.POST("/console/sign-out", c.open(signOut))
	if c.provider != nil {
		r.GET("/console/oidc/start", c.open(startOIDC))
		r.GET("/console/oidc/callback", c.open(endOIDC))
	}
	r.GET("/console/invitation", c.open(invitation))
	r.POST("/console/invitation", c.open(acceptInvitation))

	r.GET("/console/password", c.page(passwordPage))
	r.POST("/console/password", c.change(changePassword))
	r.POST("/console/workspace", c.change(switchWorkspace))
	r.POST("/console/theme", c.change(switchTheme))

	r.GET(home, c.page(overview))

	r.GET(profilePath, c.page(profile))
	r.GET(profilePath+"/tokens/:own/secret", c.page(ownSecretPage))
	r.POST(profilePath+"/tokens/:own/secret", c.sure(makeOwnSecret))
	r.GET(profilePath+"/tokens/:own/renew", c.page(renewPage))
	r.POST(profilePath+"/tokens/:own/renew", c.sure(renew))
	r.GET(profilePath+"/second-factor", c.page(factor))
	r.POST(profilePath+"/second-factor", c.change(startFactor))
	r.POST(profilePath+"/second-factor/confirm", c.change(confirmFactor))
	r.POST(profilePath+"/second-factor/remove", c.change(removeFactor))

	r.GET("/console/usage", c.page(usage))

	r.GET("/console/audit", c.page(auditLog))
	r.GET("/console/audit/export", c.page(exportAudit))

	r.GET("/console/clients", c.page(clients))
	r.GET("/console/clients/export", c.page(exportClients))
	r.POST("/console/clients/revoke", c.change(revokeSelected))
	r.GET("/console/clients/new", c.page(generate))
	r.POST("/console/clients/new", c.sure(makeToken))
	r.GET("/console/clients/new/endpoints", c.page(roleOpens))
	r.GET("/console/clients/:client/save", c.page(wasShown))
	r.POST("/console/clients/:client/save", c.change(saveToken))
	r.POST("/console/clients/:client/discard", c.change(discardToken))
	r.GET("/console/clients/:client", c.page(client))
	r.GET("/console/clients/:client/edit", c.page(editClientPage))
	r.POST("/console/clients/:client/edit", c.change(editClient))
	r.GET("/console/clients/:client/responsible", c.page(responsiblePage))
	r.POST("/console/clients/:client/responsible", c.sure(changeResponsible))
	r.POST("/console/clients/:client/take-over", c.sure(takeOver))
	r.GET("/console/clients/:client/rotate", c.page(rotatePage))
	r.POST("/console/clients/:client/rotate", c.sure(rotate))
	r.GET("/console/clients/:client/secrets/:secret/retire", c.page(confirmRetire))
	r.POST("/console/clients/:client/secrets/:secret/retire", c.change(retireSecret))
	r.GET("/console/clients/:client/revoke", c.page(confirmRevoke))
	r.POST("/console/clients/:client/revoke", c.change(revokeClient))
	r.POST("/console/clients/:client/restore", c.change(restoreClient))
	r.GET("/console/clients/:client/delete", c.page(confirmDelete))
	r.POST("/console/clients/:client/delete", c.change(deleteClient))

	r.GET("/console/roles", c.page(roles))
	r.GET("/console/roles/new", c.page(newRole))
	r.POST("/console/roles/new", c.change(createRole))
	r.GET("/console/roles/diff", c.page(roleDiff))
	r.GET("/console/roles/:role", c.page(role))
	r.GET("/console/roles/:role/edit", c.page(editRolePage))
	r.POST("/console/roles/:role/edit", c.change(editRole))
	r.GET("/console/roles/:role/versions", c.page(roleVersions))
	r.GET("/console/roles/:role/versions/:version", c.page(confirmRollBack))
	r.POST("/console/roles/:role/versions/:version", c.change(rollBack))
	r.GET("/console/roles/:role/delete", c.page(confirmDeleteRole))
	r.POST("/console/roles/:role/delete", c.change(deleteRole))

	r.GET("/console/endpoints", c.page(apis))
	r.GET("/console/endpoints/new", c.page(newAPIPage))
	r.POST("/console/endpoints/new", c.change(createAPI))
	r.GET("/console/endpoints/:api", c.page(showAPI))
	r.GET("/console/endpoints/:api/edit", c.page(editAPIPage))
	r.POST("/console/endpoints/:api/edit", c.change(editAPI))
	r.GET("/console/endpoints/:api/endpoint", c.page(endpointPage))
	r.POST("/console/endpoints/:api/endpoint", c.change(saveEndpoint))
	r.GET("/console/endpoints/:api/endpoint/remove", c.page(confirmRemoveEndpoint))
	r.POST("/console/endpoints/:api/endpoint/remove", c.change(removeEndpoint))
	r.GET("/console/endpoints/:api/import", c.page(importPage))
	r.POST("/console/endpoints/:api/import", c.change(importOpenAPI))
	r.GET("/console/endpoints/:api/delete", c.page(confirmDeleteAPI))
	r.POST("/console/endpoints/:api/delete", c.change(deleteAPI))

	r.GET("/console/simulator", c.page(simulator))
	r.GET("/console/simulator/clients", c.page(simulatorClients))

	r.GET("/console/grants/new", c.page(giveRolePage))
	r.POST("/console/grants", c.change(giveRole))
	r.GET("/console/grants/:holder/:role", c.page(limitsPage))
	r.POST("/console/grants/:holder/:role", c.change(changeLimits))
	r.GET("/console/grants/:holder/:role/take", c.page(confirmTake))
	r.POST("/console/grants/:holder/:role/take", c.change(takeRole))

	r.GET("/console/accounts", c.page(accounts))
	r.GET("/console/accounts/invite", c.page(invitePage))
	r.POST("/console/accounts/invite", c.sure(invite))
	r.GET("/console/accounts/:account", c.page(account))
	r.GET("/console/accounts/:account/edit", c.page(editAccountPage))
	r.POST("/console/accounts/:account/edit", c.change(editAccount))
	r.GET("/console/accounts/:account/deactivate", c.page(confirmDeactivate))
	r.POST("/console/accounts/:account/deactivate", c.change(deactivateAccount))
	r.POST("/console/accounts/:account/reactivate", c.change(reactivateAccount))
	r.GET("/console/accounts/:account/delete", c.page(confirmDeleteAccount))
	r.POST("/console/accounts/:account/delete", c.change(deleteAccount))
	r.GET("/console/accounts/:account/reinvite", c.page(confirmReinvite))
	r.POST("/console/accounts/:account/reinvite", c.sure(reinvite))
	r.GET("/console/accounts/:account/adopt", c.page(confirmAdoptAccount))
	r.POST("/console/accounts/:account/adopt", c.change(adoptAccount))
	r.GET("/console/accounts/:account/second-factor", c.page(confirmNoTOTP))
	r.POST("/console/accounts/:account/second-factor", c.sure(deleteAccountTOTP))

	r.GET("/console/teams", c.page(teams))
	r.GET("/console/teams/new", c.page(newTeamPage))
	r.POST("/console/teams/new", c.change(createTeam))
	r.POST("/console/teams/members", c.change(addMember))
	r.POST("/console/teams/members/remove", c.change(removeMember))
	r.GET("/console/teams/:team", c.page(team))
	r.GET("/console/teams/:team/edit", c.page(editTeamPage))
	r.POST("/console/teams/:team/edit", c.change(editTeam))
	r.GET("/console/teams/:team/adopt", c.page(confirmAdoptTeam))
	r.POST("/console/teams/:team/adopt", c.change(adoptTeam))
	r.GET("/console/teams/:team/delete", c.page(confirmDeleteTeam))
	r.POST("/console/teams/:team/delete", c.change(deleteTeam))

	r.GET("/console/system", c.page(system))
	r.GET("/console/system/keys/rotate", c.page(confirmRotateKey))
	r.POST("/console/system/keys/rotate", c.sure(rotateKey))
	r.GET("/console/system/keys/:kid/revoke", c.page(confirmRevokeKey))
	r.POST("/console/system/keys/:kid/revoke", c.sure(revokeKey))

	r.GET("/console/docs", c.page(showDocs))
	r.GET("/console/docs/:guide", c.page(showGuide))

	r.GET("/console/api-reference", c.page(apiReference))
	r.GET("/console/api-reference/:operation", c.page(referenceOperation))

	r.GET("/console/webhooks", c.page(webhooks))
	r.GET("/console/webhooks/new", c.page(newWebhookPage))
	r.POST("/console/webhooks/new", c.sure(createWebhook))
	r.GET("/console/webhooks/:webhook", c.page(webhook))
	r.GET("/console/webhooks/:webhook/edit", c.page(editWebhookPage))
	r.POST("/console/webhooks/:webhook/edit", c.change(editWebhook))
	r.POST("/console/webhooks/:webhook/test", c.change(testWebhook))
	r.GET("/console/webhooks/:webhook/rotate", c.page(confirmRotateWebhook))
	r.POST("/console/webhooks/:webhook/rotate", c.sure(rotateWebhook))
	r.GET("/console/webhooks/:webhook/delete", c.page(confirmDeleteWebhook))
	r.POST("/console/webhooks/:webhook/delete", c.change(deleteWebhook))
	r.POST("/console/webhooks/:webhook/retry", c.change(retryDelivery))

	r.GET("/console/workspaces", c.page(workspaces))
	r.GET("/console/workspaces/new", c.page(newWorkspacePage))
	r.POST("/console/workspaces/new", c.change(createWorkspace))
	r.GET("/console/workspaces/:workspace", c.page(workspace))
	r.GET("/console/workspaces/:workspace/settings", c.page(settings))
	r.POST("/console/workspaces/:workspace/settings", c.change(changeSettings))
	r.GET("/console/workspaces/:workspace/transfer", c.page(transferWorkspacePage))
	r.POST("/console/workspaces/:workspace/transfer", c.sure(transferWorkspace))
	r.GET("/console/workspaces/:workspace/delete", c.page(confirmDeleteWorkspace))
	r.POST("/console/workspaces/:workspace/delete", c.change(deleteWorkspace))
}

// NotFound answers for paths of the console that no route has.
func (c *Console) NotFound(g *gin.Context) {
	c.page(func(*visit) error {
		return &admin.Error{Kind: admin.NotFound, Message: "there is no page at this address; it may have moved, or the link is not whole"}
	})(g)
}
