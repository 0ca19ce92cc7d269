package console

import (
	"net/url"
	"strconv"
	"strings"
)

// snippet is a program that works as it is pasted.
type snippet struct {
	Name  string
	Lines []codeLine
}

// codeLine is a line of a program, or a remark in it.
type codeLine struct {
	Text   string
	Remark bool
}

// snippets get an access token and ask Postern what it opens, in several
// languages. A token for provisioning gets none, and asks for the users instead.
func (c credentials) snippets(scimOnly bool) []snippet {
	if scimOnly {
		return []snippet{c.fill("curl", inCurlForSCIM)}
	}
	return []snippet{
		c.fill("curl", inCurl), c.fill("Go", inGo), c.fill("Python", inPython),
		c.fill("Node.js", inNode), c.fill("Java", inJava),
	}
}

// fill puts the credentials into a program. In a shell they stand in single
// quotes, elsewhere as the text in double quotes that all four languages read.
func (c credentials) fill(name, program string) snippet {
	quote := strconv.QuoteToASCII
	if name == "curl" {
		quote = func(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
	}
	program = strings.NewReplacer(
		"TOKEN_URL", quote(c.tokenURL()),
		"ENDPOINTS_URL", quote(c.Issuer+"/api/v1/endpoints"),
		"USERS_URL", quote(c.Issuer+"/scim/v2/Users?count=1"),
		"CLIENT_ID", quote(url.QueryEscape(c.ID)), // RFC 6749 section 2.3.1
		"CLIENT_SECRET", quote(c.Secret),
		"RESOURCE", quote(c.Resource),
	).Replace(strings.TrimSpace(program))
	out := snippet{Name: name}
	for line := range strings.SplitSeq(program, "\n") {
		start := strings.TrimSpace(line)
		remark := strings.HasPrefix(start, "# ") || strings.HasPrefix(start, "// ")
		out.Lines = append(out.Lines, codeLine{line, remark})
	}
	return out
}

const inCurl = `
id=CLIENT_ID
secret=CLIENT_SECRET

# 1. Exchange the credentials for an access token.
token=$(curl -s TOKEN_URL \
  -u "$id:$secret" \
  -d grant_type=client_credentials \
  --data-urlencode resource=RESOURCE | jq -r .access_token)

# 2. Ask Postern which endpoints it opens.
curl -s ENDPOINTS_URL -H "Authorization: Bearer $token"
`

const inCurlForSCIM = `
secret=CLIENT_SECRET

# It gets no access tokens: it sends its secret key itself, to /scim/v2 alone.
curl -s USERS_URL -H "Authorization: Bearer $secret"
`

const inGo = `
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
)

func main() {
	// 1. Exchange the credentials for an access token.
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {RESOURCE}}
	req, err := http.NewRequest("POST", TOKEN_URL, strings.NewReader(form.Encode()))
	if err != nil {
		log.Fatal(err)
	}
	req.SetBasicAuth(CLIENT_ID, CLIENT_SECRET)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var token struct {
		AccessToken string ` + "`json:\"access_token\"`" + `
	}
	if err := json.Unmarshal(do(req), &token); err != nil {
		log.Fatal(err)
	}

	// 2. Ask Postern which endpoints it opens.
	req, err = http.NewRequest("GET", ENDPOINTS_URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	fmt.Println(string(do(req)))
}

func do(req *http.Request) []byte {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		log.Fatal(resp.Status, " ", string(body), err)
	}
	return body
}
`

const inPython = `
import base64, json, urllib.parse, urllib.request

# 1. Exchange the credentials for an access token.
basic = base64.b64encode(":".join([CLIENT_ID, CLIENT_SECRET]).encode()).decode()
form = {"grant_type": "client_credentials", "resource": RESOURCE}
request = urllib.request.Request(
    TOKEN_URL,
    data=urllib.parse.urlencode(form).encode(),
    headers={"Authorization": "Basic " + basic},
)
with urllib.request.urlopen(request) as answer:
    token = json.load(answer)["access_token"]

# 2. Ask Postern which endpoints it opens.
request = urllib.request.Request(
    ENDPOINTS_URL,
    headers={"Authorization": "Bearer " + token},
)
with urllib.request.urlopen(request) as answer:
    print(answer.read().decode())
`

const inNode = `
async function main() {
  // 1. Exchange the credentials for an access token.
  const basic = Buffer.from([CLIENT_ID, CLIENT_SECRET].join(":")).toString("base64");
  const answer = await fetch(TOKEN_URL, {
    method: "POST",
    headers: { Authorization: "Basic " + basic },
    body: new URLSearchParams({ grant_type: "client_credentials", resource: RESOURCE }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  const { access_token } = await answer.json();

  // 2. Ask Postern which endpoints it opens.
  const opened = await fetch(ENDPOINTS_URL, {
    headers: { Authorization: "Bearer " + access_token },
  });
  console.log(await opened.text());
}

main();
`

const inJava = `
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Base64;
import java.util.regex.Pattern;
import static java.nio.charset.StandardCharsets.UTF_8;

public class Main {
    public static void main(String[] args) throws Exception {
        var http = HttpClient.newHttpClient();

        // 1. Exchange the credentials for an access token.
        var basic = Base64.getEncoder().encodeToString(String.join(":", CLIENT_ID, CLIENT_SECRET).getBytes(UTF_8));
        var form = "grant_type=client_credentials&resource=" + URLEncoder.encode(RESOURCE, UTF_8);
        var answer = http.send(HttpRequest.newBuilder(URI.create(TOKEN_URL))
            .header("Authorization", "Basic " + basic)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .POST(HttpRequest.BodyPublishers.ofString(form)).build(), BodyHandlers.ofString()).body();
        var found = Pattern.compile("\"access_token\" *: *\"([^\"]+)\"").matcher(answer);
        if (!found.find()) throw new IllegalStateException(answer);

        // 2. Ask Postern which endpoints it opens.
        System.out.println(http.send(HttpRequest.newBuilder(URI.create(ENDPOINTS_URL))
            .header("Authorization", "Bearer " + found.group(1)).build(), BodyHandlers.ofString()).body());
    }
}
`
