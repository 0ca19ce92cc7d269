package main

import (
	"fmt"
	"strings"
)

// introduction is what a person sees at the first start: lines to paste, and the
// administrator's secrets, once. gateway is the address of the gateway listener.
func introduction(f bootstrapFile, gateway string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `
Postern is ready at %s

This is the first start. The secrets below are shown once; none of them expires,
so replace them before production.
`, f.Issuer)
	if e := f.Example; e != nil {
		decide := fmt.Sprintf(`curl -s -o /dev/null -w '%%{http_code}\n' -H "Authorization: Bearer $TOKEN"`)
		target := "http://" + gateway + "/decide/nginx/" + e.API
		call := func(c bootstrapCall) string {
			return fmt.Sprintf("%s \\\n  -H 'X-Original-Method: %s' -H 'X-Original-URI: %s' \\\n  %s\n", decide, c.Method, c.Path, target)
		}
		fmt.Fprintf(&b, `
Try it: paste these lines into another terminal.

# The example client gets a token. It may read orders, not cancel them.
ISSUER=%s
CLIENT=%s
SECRET=%s
TOKEN=$(curl -s -u "$CLIENT:$SECRET" -d grant_type=client_credentials \
  $ISSUER/oauth2/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/')

# The API's gateway asks what the token is good for.
GATEWAY=%s
GATEWAY_SECRET=%s
curl -s -u "$GATEWAY:$GATEWAY_SECRET" -d "token=$TOKEN" \
  $ISSUER/oauth2/introspect; echo

# It asks about a call that is allowed (200), and about one that is not (403).
%s%s
# The client revokes its token, and the same call is refused (401).
curl -s -u "$CLIENT:$SECRET" -d "token=$TOKEN" $ISSUER/oauth2/revoke
%s`, f.Issuer, e.ClientID, e.ClientSecret, e.GatewayClientID, e.GatewayClientSecret,
			call(e.Allowed), call(e.Denied), call(e.Allowed))
	}
	fmt.Fprintf(&b, `
Administer it: user %s, password %s, or

printf %%s %s |
  postern login %s --client-id %s
postern client list

`, f.Admin.Username, f.Admin.Password, f.Admin.ClientSecret, f.Issuer, f.Admin.ClientID)
	return b.String()
}
