package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"postern/server/admin"
	"postern/server/console"
)

var update = flag.Bool("update", false, "write docs/features.md")

// feature is a row of docs/features.md: something that the people who own and
// manage tokens can do here.
type feature struct {
	id, text   string
	operations []string // by which operations of REST
	routes     []string // by which other routes
	commands   []string // by which commands
	pages      []string // on which pages of the console
	tests      []string // of rows without an id, which tests are found by
}

// features are the rows, in their order.
var features = []feature{
	{id: "SB1", text: "A list shows each client's id, description, roles and state, when it was made and last used; a row can be revoked.", operations: []string{"client.list", "client.revoke"}, commands: []string{"client list", "client revoke"}, pages: []string{"/console/clients"}},
	{id: "SB2", text: "A new client gets a description and a role; the server makes its id and secret.", operations: []string{"client.create"}, commands: []string{"client create"}, pages: []string{"/console/clients/new"}},
	{id: "SB3", text: "A secret is shown once. With `confirm` the client works only after somebody said that the secret is saved; one that nobody confirms is gone after 15 minutes.", operations: []string{"client.create", "client.confirm"}, commands: []string{"client confirm"}, pages: []string{"/console/clients/{client}/save"}},
	{id: "SB4", text: "The rules of its roles say which endpoints a client may call, and a check says why.", operations: []string{"role.create", "grant.set", "check"}, routes: []string{"/decide/…"}, commands: []string{"role create", "grant set", "check"}, pages: []string{"/console/roles/{role}", "/console/simulator"}},
	{id: "SB5", text: "Revoking a client ends every use of it at once: tokens, bearer, introspection, decisions.", operations: []string{"client.revoke"}, routes: []string{"POST /oauth2/token", "POST /oauth2/introspect", "/decide/…"}, commands: []string{"client revoke"}, pages: []string{"/console/clients/{client}/revoke"}},
	{id: "SB6", text: "Lists and details say exactly when a client was last used, and who made it.", operations: []string{"client.list", "client.get", "usage.read"}, commands: []string{"client get", "usage"}, pages: []string{"/console/clients/{client}"}},

	{id: "QU1", text: "People make and manage personal tokens themselves, and see their own alone.", operations: []string{"me.client.create", "me.client.list", "me.client.get"}, commands: []string{"me token create", "me token list"}, pages: []string{"/console/profile"}},
	{id: "QU2", text: "Service tokens are for administrators, and act as a service account, not as a person.", operations: []string{"client.create"}, commands: []string{"client create"}, pages: []string{"/console/clients/new"}},
	{id: "QU3", text: "A token has a name, a kind and an expiry from a list; one that never ends carries a warning.", operations: []string{"client.create"}, commands: []string{"client create"}, pages: []string{"/console/clients/new"}},
	{id: "QU4", text: "At its expiry a token stops by itself, to the second; then a new one is needed.", operations: []string{"client.create"}, routes: []string{"POST /oauth2/token", "/decide/…"}, commands: []string{"client create"}},
	{id: "QU5", text: "A token for provisioning is good for SCIM and for nothing else.", operations: []string{"client.create"}, routes: []string{"/scim/v2/…"}, commands: []string{"client create"}, pages: []string{"/console/clients/new"}},
	{id: "QU6", text: "What was never used can be told from what was, and listed alone.", operations: []string{"client.list"}, commands: []string{"client list"}, pages: []string{"/console/clients"}},
	{id: "QU7", text: "Revoke answers that it was done, and the state of the token changes.", operations: []string{"client.revoke"}, commands: []string{"client revoke"}, pages: []string{"/console/clients/{client}/revoke"}},
	{id: "QU8", text: "Restore makes the same secret work again; what has expired or leaked stays as it is.", operations: []string{"client.restore"}, commands: []string{"client restore"}, pages: []string{"/console/clients/{client}/restore"}},
	{id: "QU9", text: "Only what is revoked can be deleted; that is final, and its id is never used again.", operations: []string{"client.delete"}, commands: []string{"client delete"}, pages: []string{"/console/clients/{client}/delete"}},
	{id: "QU10", text: "The answer that makes a secret is the only one that ever holds it, whoever asks.", operations: []string{"client.create", "client.rotate"}, commands: []string{"client create"}, pages: []string{"/console/clients/{client}/save"}},
	{id: "QU11", text: "One token serves the command line and REST.", operations: []string{"client.list"}, commands: []string{"client list"}},

	{id: "DG1", text: "A personal token may do what its owner may, under the same licence, at the time of each call.", operations: []string{"me.client.create", "account.edit"}, routes: []string{"/decide/…", "POST /oauth2/introspect"}, commands: []string{"me token create", "check"}},
	{id: "DG2", text: "Nobody has a personal token until they make one, unless a setting says otherwise.", operations: []string{"me.client.create"}, commands: []string{"me token list"}, pages: []string{"/console/profile"}},
	{id: "DG3", text: "An integration token comes with a technical user, which gets rights as any other account does.", operations: []string{"client.create", "grant.set"}, commands: []string{"client create", "grant set"}, pages: []string{"/console/clients/new"}},
	{id: "DG4", text: "Technical users have the licence steward and a padlock: name, state and password are fixed, licence, teams and grants are not.", operations: []string{"account.edit", "account.list"}, commands: []string{"account get", "account list"}, pages: []string{"/console/accounts"}},
	{id: "DG5", text: "Technical users are members of teams, and get access to workspaces.", operations: []string{"team.member.add", "grant.set"}, commands: []string{"team add", "grant set"}, pages: []string{"/console/teams/{team}"}},
	{id: "DG6", text: "When a person is deactivated their personal tokens stop at once; integrations go on, and somebody takes them over.", operations: []string{"account.deactivate", "client.takeover"}, commands: []string{"account deactivate", "client takeover"}, pages: []string{"/console/accounts/{account}/deactivate", "/console/clients/{client}/take-over"}},
	{id: "DG7", text: "Accounts and licences through the API need admin access, a right of the token that is given apart.", operations: []string{"account.edit", "client.create"}, commands: []string{"account edit", "client create"}, pages: []string{"/console/clients/new"}},

	{id: "DC1", text: "When the setting says so, a new person gets a personal token by itself, which waits for its owner to take the secret.", operations: []string{"invitation.accept", "me.client.rotate"}, commands: []string{"account accept", "me token secret"}, pages: []string{"/console/profile"}},
	{id: "DC2", text: "The owner of a workspace may do everything in it.", operations: []string{"grant.set", "workspace.edit"}, commands: []string{"grant set", "workspace edit", "workspace transfer"}, pages: []string{"/console/workspaces/{workspace}/transfer"}},
	{id: "DC3", text: "Who is invited to another workspace has its roles and devices with the same token.", operations: []string{"grant.set", "check"}, commands: []string{"grant set", "check"}, pages: []string{"/console/grants/new"}},
	{id: "DC4", text: "API users are accounts with nobody behind them, with rights, roles and devices of their own.", operations: []string{"client.create", "grant.set"}, commands: []string{"client create", "grant set"}, pages: []string{"/console/grants/new"}},
	{id: "DC5", text: "A team or a function has a token: a service account that is a member.", operations: []string{"client.create", "team.member.add"}, commands: []string{"client create", "team add"}, pages: []string{"/console/teams/{team}"}},
	{id: "DC6", text: "The same token opens REST and GraphQL; a rule can name an operation of GraphQL.", operations: []string{"role.create"}, routes: []string{"/decide/…"}, commands: []string{"role create"}},
	{id: "DC7", text: "People find their token, and the warning to keep it to themselves, where their account is.", operations: []string{"me.client.list"}, commands: []string{"me show", "me token list"}, pages: []string{"/console/profile"}},

	{id: "DP1", text: "A token is made by name and password, or with another good token of the same person.", operations: []string{"me.client.create"}, commands: []string{"me token create", "client renew"}, pages: []string{"/console/clients/new"}},
	{id: "DP2", text: "Nobody makes a token for somebody else without their credentials, administrators included.", operations: []string{"client.create", "client.rotate"}, commands: []string{"client create"}},
	{id: "DP3", text: "Who holds a person's token acts as that person; the audit has the token and the address.", operations: []string{"audit.list", "audit.get"}, commands: []string{"audit list", "audit show"}, pages: []string{"/console/audit"}},
	{id: "DP4", text: "A new password leaves tokens as they are.", operations: []string{"me.password"}, commands: []string{"me password"}, pages: []string{"/console/password"}},
	{id: "DP5", text: "Expiry, kind, account and id of a token never change; name, description, roles, addresses and who is responsible may, and the audit tells.", operations: []string{"client.edit"}, commands: []string{"client edit"}, pages: []string{"/console/clients/{client}/edit"}},
	{id: "DP6", text: "People have as many tokens as they like.", operations: []string{"me.client.create"}, commands: []string{"me token create"}},
	{id: "DP7", text: "A token works for every version of an API.", operations: []string{"api.import", "role.create"}, routes: []string{"/decide/…"}, commands: []string{"api import"}},
	{id: "DP8", text: "The owner of a workspace switches API access on and off, and says who may make and use personal tokens.", operations: []string{"workspace.edit"}, commands: []string{"workspace edit"}, pages: []string{"/console/workspaces/{workspace}/settings"}},
	{id: "DP9", text: "A lifetime is a number of days, or -1 for never where that is allowed; a workspace may cap it.", operations: []string{"client.create", "workspace.edit"}, commands: []string{"client create", "workspace edit"}, pages: []string{"/console/workspaces/{workspace}/settings"}},
	{id: "DP10", text: "A token can ask which endpoints it may call.", operations: []string{"endpoint.list"}, commands: []string{"endpoints"}, pages: []string{"/console/clients/{client}"}},
	{id: "DP11", text: "A token renews itself before it ends: for the same account, no wider and no longer.", operations: []string{"me.client.create"}, commands: []string{"client renew"}, pages: []string{"/console/profile/tokens/{own}/renew"}},
	{id: "DP12", text: "A token opens no session of the console.", operations: []string{"me.get"}, pages: []string{"/console/sign-in"}},
	{id: "DP13", text: "A token is deleted from the menu of its row.", operations: []string{"client.delete"}, commands: []string{"client delete"}, pages: []string{"/console/clients"}},
	{id: "DP14", text: "A token of one project opens nothing of another, and projects may have different endpoints of one API.", operations: []string{"client.create", "api.edit"}, commands: []string{"client create", "api edit"}, pages: []string{"/console/endpoints/{api}/edit"}},

	{id: "Rotation", text: "A client has several secrets, each with a label, an expiry and a last use; a new one overlaps the old, which ends by itself. One that is in use is retired by force alone, and the refusal names who uses it.", operations: []string{"client.rotate", "client.secret.revoke"}, commands: []string{"client rotate", "client secret retire"}, pages: []string{"/console/clients/{client}/rotate"}, tests: []string{"TestRetire"}},
	{id: "One secret", text: "Revoking one secret ends the tokens that it made, and no others.", operations: []string{"client.secret.revoke"}, commands: []string{"client secret revoke"}, pages: []string{"/console/clients/{client}/secrets/{secret}/retire"}, tests: []string{"TestRevokingOneSecret"}},
	{id: "Reminders", text: "Two weeks, one week and one day before a client or secret ends, webhooks and mail say so.", operations: []string{"webhook.create", "webhook.deliveries"}, commands: []string{"webhook create"}, pages: []string{"/console/webhooks"}, tests: []string{"TestRemind"}},
	{id: "Addresses", text: "A client may be used from the addresses on its list alone.", operations: []string{"client.edit"}, commands: []string{"client edit"}, pages: []string{"/console/clients/{client}/edit"}, tests: []string{"TestAddressList"}},
	{id: "Why", text: "A refused call is explained, with the least that is missing.", operations: []string{"check"}, commands: []string{"check"}, pages: []string{"/console/simulator"}, tests: []string{"TestCheckExplains"}},
	{id: "Opened", text: "Beside the roles stand the endpoints that they open.", operations: []string{"role.endpoints"}, commands: []string{"role endpoints"}, pages: []string{"/console/clients/new"}, tests: []string{"TestARoleSaysWhichEndpointsItOpens"}},
	{id: "Unused", text: "What a client's rights reach and it has not used in 90 days, by rule; and what of a role nobody has.", operations: []string{"client.unused", "role.unused"}, commands: []string{"client unused", "role unused"}, pages: []string{"/console/clients/{client}"}, tests: []string{"TestUnused"}},
	{id: "Second factor", text: "People add a telephone's one-time codes to their password, with recovery codes; an administrator removes what is lost.", operations: []string{"me.totp.start", "me.totp.confirm", "me.totp.delete", "account.totp.delete"}, commands: []string{"me totp start", "me totp confirm", "account totp delete"}, pages: []string{"/console/profile/second-factor"}, tests: []string{"TestSecondFactor"}},
	{id: "Provider", text: "People sign in to the console by an OpenID Connect provider, whose groups give them teams.", operations: []string{"account.adopt"}, routes: []string{"GET /console/oidc/start"}, commands: []string{"account adopt"}, tests: []string{"TestSignInByAProvider", "TestProvider"}},
	{id: "Workload", text: "A pod or the run of a pipeline gets tokens without any secret, by the JWT that its issuer gave it; which conditions fail is said.", operations: []string{"client.rotate", "client.trust.test"}, commands: []string{"trust add", "trust list", "trust remove", "trust test"}, tests: []string{"TestWorkload"}},
	{id: "Offline", text: "A gateway that verifies tokens itself and asks about none refuses a revoked one within a second.", operations: []string{"api.edit"}, routes: []string{"GET /oauth2/revocations", "GET /oauth2/statuslists/{list}"}, commands: []string{"api edit"}, pages: []string{"/console/endpoints/{api}/edit"}, tests: []string{"TestRevocationReaches", "TestRevocationsBy", "TestOnePlace", "TestFeedIs", "TestFeedBelieves", "TestFeedThatIsOld", "TestFeedWants"}},
	{id: "Scan", text: "Secrets in files and in the history of git are found by their checksum, offline, and can be reported.", operations: []string{"client.leak"}, commands: []string{"scan"}, tests: []string{"TestScan"}},
}

// found is what the sources of the repository hold.
type found struct {
	tests   []string
	stories map[string]string // their texts by their names
}

// lookAround reads the names of all tests, and the stories.
func lookAround(t *testing.T) found {
	t.Helper()
	f := found{stories: map[string]string{}}
	test := regexp.MustCompile(`(?m)^func (Test\w+)\(t `)
	err := filepath.WalkDir("../..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() && strings.HasPrefix(e.Name(), ".git") {
			return err
		}
		switch {
		case strings.HasSuffix(path, "_test.go"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range test.FindAllSubmatch(text, -1) {
				f.tests = append(f.tests, string(m[1]))
			}
		case strings.HasSuffix(path, ".txtar"):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			f.stories[strings.TrimSuffix(filepath.Base(path), ".txtar")] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(f.tests)
	f.tests = slices.Compact(f.tests)
	return f
}

// of returns the tests of a row: those that have its id in their names, alone
// or in a span such as QU7ToQU9.
func (f found) of(row feature) []string {
	var out []string
	for _, test := range f.tests {
		if len(row.tests) == 0 && slices.Contains(rowsOf(test), row.id) ||
			slices.ContainsFunc(row.tests, func(prefix string) bool { return strings.HasPrefix(test, prefix) }) {
			out = append(out, test)
		}
	}
	return out
}

var (
	rowID   = regexp.MustCompile(`(SB|QU|DG|DC|DP)([0-9]+)`)
	rowSpan = regexp.MustCompile(`(SB|QU|DG|DC|DP)([0-9]+)To(?:SB|QU|DG|DC|DP)([0-9]+)`)
)

// rowsOf are the ids that the name of a test has.
func rowsOf(test string) []string {
	out := rowID.FindAllString(test, -1)
	for _, span := range rowSpan.FindAllStringSubmatch(test, -1) {
		first, _ := strconv.Atoi(span[2]) // they are digits
		last, _ := strconv.Atoi(span[3])
		for n := first; n <= last; n++ {
			out = append(out, span[1]+strconv.Itoa(n))
		}
	}
	return out
}

// storiesOf are the stories that run a command.
func (f found) storiesOf(command string) []string {
	var out []string
	runs := regexp.MustCompile(`(?m)\bpostern ` + regexp.QuoteMeta(command) + `( |$)`)
	for name, text := range f.stories {
		if runs.MatchString(text) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Each row has its operations, its commands, its tests and the stories that run
// the commands; docs/features.md says which, and what is still open. It is
// written by: go test ./cmd/postern -run TestFeatures -update
func TestFeaturesAreDoneTestedAndListed(t *testing.T) {
	operations := map[string]admin.Operation{}
	for _, op := range admin.Operations() {
		operations[op.Name] = op
	}
	root, around := rootCommand(), lookAround(t)
	for _, row := range features {
		if missing := around.missing(row, operations, root); missing != "" {
			t.Errorf("%s: %s", row.id, missing)
		}
	}
	want := featuresPage(operations, around, root)
	const page = "../../docs/features.md"
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), want); diff != "" {
		t.Errorf("docs/features.md is not what it should be; write it by -update (-is +should be):\n%s", diff)
	}
}

// missing says what of a row is not there; empty is nothing.
func (f found) missing(row feature, operations map[string]admin.Operation, root *cobra.Command) string {
	var missing []string
	for _, name := range row.operations {
		if _, known := operations[name]; !known {
			missing = append(missing, "there is no operation "+name)
		}
	}
	for _, command := range row.commands {
		if !hasCommand(root, command) {
			missing = append(missing, "there is no command "+command)
		} else if len(f.storiesOf(command)) == 0 {
			missing = append(missing, "no story runs postern "+command)
		}
	}
	for _, page := range row.pages {
		if !hasPage(page) {
			missing = append(missing, "the console has no "+page)
		}
	}
	if len(f.of(row)) == 0 {
		missing = append(missing, "no test shows it")
	}
	return strings.Join(missing, "; ")
}

func hasCommand(root *cobra.Command, path string) bool {
	c, rest, err := root.Find(strings.Fields(path))
	return err == nil && len(rest) == 0 && c != root && c.CommandPath() == "postern "+path
}

// hasPage reports whether the console has a route.
func hasPage(page string) bool {
	gin.SetMode(gin.ReleaseMode)
	r := gin.New()
	console.New(console.Options{Issuer: "https://postern.example"}).Mount(r)
	want := regexp.MustCompile(`\{(\w+)\}`).ReplaceAllString(page, ":$1")
	return slices.ContainsFunc(r.Routes(), func(route gin.RouteInfo) bool { return route.Path == want })
}

// featuresPage is docs/features.md.
func featuresPage(operations map[string]admin.Operation, around found, root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(`# What it does for the people who own and manage tokens

Every row is a behaviour, the calls of REST, the commands and the pages of the console by which it is had, the tests that show it, and the stories in
` + "`cmd/postern/testdata/script`" + ` that run the commands. This page is written by
` + "`go test ./cmd/postern -run TestFeatures -update`" + `; the same test fails when something named here is not there.

| row | behaviour | REST | command line | console | tests | state |
|---|---|---|---|---|---|---|
`)
	code := func(texts []string) string {
		quoted := make([]string, len(texts))
		for i, text := range texts {
			quoted[i] = "`" + text + "`"
		}
		return strings.Join(quoted, "<br>")
	}
	for _, row := range features {
		var rest, stories []string
		for _, name := range row.operations {
			if op, known := operations[name]; known {
				rest = append(rest, op.Method+" "+op.Path)
			}
		}
		rest = append(rest, row.routes...)
		var commands []string
		for _, command := range row.commands {
			commands = append(commands, "postern "+command)
			stories = append(stories, around.storiesOf(command)...)
		}
		slices.Sort(stories)
		state := "done"
		if missing := around.missing(row, operations, root); missing != "" {
			state = "open: " + missing
		}
		shown := code(around.of(row))
		if stories = slices.Compact(stories); len(stories) > 0 {
			shown += "<br>stories: " + strings.Join(stories, ", ")
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", row.id, row.text, code(rest), code(commands), code(row.pages), strings.TrimPrefix(shown, "<br>"), state)
	}
	return b.String()
}
