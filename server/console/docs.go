package console

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"postern/docs"
	"postern/server/admin"
)

// guide is one of the guides that come with the program.
type guide struct {
	Name, Title, Text string
	Body              template.HTML
}

// guides are those that the console shows, as a reader meets them.
func guides() []guide {
	return []guide{
		{Name: "operations", Title: "Operations", Text: "What to keep, back up and watch; how to upgrade, and what happens in an outage."},
		{Name: "sign-in", Title: "How people sign in", Text: "Passwords, one-time codes, and sign-in by an OpenID Connect provider."},
		{Name: "scim", Title: "People and teams by SCIM", Text: "Provisioning of accounts and teams by your identity system."},
		{Name: "webhooks", Title: "Webhooks and mail", Text: "Who hears of expiring, revoked and leaked tokens, and how an event is verified."},
		{Name: "declarative", Title: "Files that say how a server should be", Text: "apply, diff, export: roles, APIs, people and tokens under version control."},
		{Name: "clients", Title: "Client libraries", Text: "Go, Python, JavaScript and curl: what was shown to work, and what to know."},
		{Name: "mtls", Title: "Client certificates and bound tokens", Text: "Mutual TLS, by Postern or a proxy; tokens that only their client can use; FAPI 2.0."},
		{Name: "workloads", Title: "Workloads without a secret", Text: "Trust rules for service accounts of Kubernetes, GitHub Actions and any OIDC issuer."},
		{Name: "gateways", Title: "Gateways", Text: "nginx, Traefik, Caddy, Envoy, HAProxy and Apache: configurations that work, and what each does."},
		{Name: "offline", Title: "Verifying offline, with revocation", Text: "Status lists and the feed of revocations: refusing revoked tokens without asking."},
		{Name: "authzen", Title: "AuthZEN", Text: "Decisions by the standard API: about tokens, and about clients and people by id."},
		{Name: "graphql", Title: "GraphQL", Text: "Rules for operations and their fields, and what gateways must pass on."},
		{Name: "leaks", Title: "Leaked credentials", Text: "Finding secrets in files and history, and ending them."},
		{Name: "import", Title: "Clients of another server", Text: "Moving from Keycloak and Hydra with ids and secrets."},
		{Name: "features", Title: "What people can do, row by row", Text: "Each feature with its REST operation, command and page."},
		{Name: "CHANGELOG", Title: "Changelog", Text: "What changed, in the words of those who run Postern."},
	}
}

// guidePath is the page of a guide.
func guidePath(name string) string { return "/console/docs/" + url.PathEscape(name) }

// Path is the page of the guide.
func (g guide) Path() string { return guidePath(g.Name) }

// readGuides renders the guides.
func readGuides() (map[string]guide, error) {
	out := map[string]guide{}
	known := map[string]bool{}
	for _, g := range guides() {
		known[g.Name] = true
	}
	for _, g := range guides() {
		source, err := docs.Files.ReadFile(g.Name + ".md")
		if err != nil {
			return nil, fmt.Errorf("read the guide %s: %w", g.Name, err)
		}
		if g.Body, err = markdown(source, known); err != nil {
			return nil, fmt.Errorf("render the guide %s: %w", g.Name, err)
		}
		out[g.Name] = g
	}
	return out, nil
}

// markdown renders a guide: CommonMark with tables, without HTML in it. Links to
// other guides lead to their pages; those to other files are no links here.
func markdown(source []byte, known map[string]bool) (template.HTML, error) {
	m := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	root := m.Parser().Parse(text.NewReader(source))
	var dead []*ast.Link
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		link, is := n.(*ast.Link)
		if !is || !entering {
			return ast.WalkContinue, nil
		}
		u, err := url.Parse(string(link.Destination))
		if err != nil {
			return ast.WalkStop, err
		}
		switch name, isGuide := strings.CutSuffix(u.Path, ".md"); {
		case u.IsAbs() || u.Path == "":
		case isGuide && path.Base(name) == name && known[name]:
			to := guidePath(name)
			if u.Fragment != "" {
				to += "#" + u.Fragment
			}
			link.Destination = []byte(to)
		default:
			dead = append(dead, link)
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return "", err
	}
	for _, link := range dead {
		parent := link.Parent()
		for child := link.FirstChild(); child != nil; child = link.FirstChild() {
			parent.InsertBefore(parent, link, child)
		}
		parent.RemoveChild(parent, link)
	}
	var out bytes.Buffer
	if err := m.Renderer().Render(&out, source, root); err != nil {
		return "", err
	}
	// What is wide scrolls in its own box, which the keyboard reaches.
	body := strings.NewReplacer(
		"<table>", `<div class="scroll" role="region" aria-label="Table" tabindex="0"><table class="tight">`, "</table>", "</table></div>",
		"<pre>", `<pre class="code" tabindex="0">`, "<!-- raw HTML omitted -->", "<br>", // in cells of tables, and nowhere else
	).Replace(out.String())
	return template.HTML(body), nil //nolint:gosec // of our own files, and goldmark lets no HTML of theirs through
}

// docsPage is the start of the documentation.
type docsPage struct {
	Guides []guide
	Server string
}

func showDocs(v *visit) error {
	return v.show("docs", http.StatusOK, page{Title: "Docs", Section: "docs", Data: docsPage{guides(), v.console.Issuer}})
}

func showGuide(v *visit) error {
	c := v.console
	c.guidesOnce.Do(func() { c.guides, c.guidesError = readGuides() })
	if c.guidesError != nil {
		return c.guidesError
	}
	g, known := c.guides[v.Param("guide")]
	if !known {
		return &admin.Error{Kind: admin.NotFound, Message: "there is no such guide"}
	}
	return v.show("guide", http.StatusOK, page{Title: g.Title, Section: "docs", Crumbs: []crumb{{"Docs", "/console/docs"}}, Data: g})
}
