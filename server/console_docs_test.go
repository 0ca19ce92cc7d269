package server_test

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// Every guide is a page, its links lead somewhere, and nothing of Markdown is left.
func TestGuidesInTheConsole(t *testing.T) {
	n := start(t)
	person := n.person(t, "ann") // no right is needed
	index := person.want(t, http.StatusOK, "/console/docs", nil)
	index.has(t, issuer+"/oauth2/token")
	found := regexp.MustCompile(`href="(/console/docs/([^"#]+))"`).FindAllStringSubmatch(index.body, -1)
	if len(found) < 10 {
		t.Fatalf("there are %d guides", len(found))
	}
	pages := map[string]string{}
	for _, f := range found {
		got := person.want(t, http.StatusOK, f[1], nil)
		pages[f[1]] = got.body
		source, err := os.ReadFile("../docs/" + f[2] + ".md")
		if err != nil {
			t.Fatal(err)
		}
		title, _, _ := strings.Cut(strings.TrimPrefix(string(source), "# "), "\n")
		got.has(t, ">"+title+"</h1>")
		for _, bad := range []string{"](", "\n## ", "```", "raw HTML omitted -->x"} {
			if strings.Contains(main(got.body), bad) {
				t.Errorf("%s: the page holds %q", f[1], bad)
			}
		}
	}
	for at, body := range pages {
		for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(main(body), -1) {
			to, anchor, has := strings.Cut(link[1], "#")
			switch {
			case strings.HasPrefix(to, "https://"), strings.HasPrefix(to, "/console/assets/"):
				continue
			case to == "":
				to = at
			}
			if strings.HasPrefix(to, "/console/docs/") {
				if pages[to] == "" || has && !strings.Contains(pages[to], `id="`+anchor+`"`) {
					t.Errorf("%s: %s leads nowhere", at, link[1])
				}
			} else if got := person.send(t, to, nil); got.status != http.StatusOK {
				t.Errorf("%s: %s answers %d", at, link[1], got.status)
			}
		}
	}
	for _, path := range regexp.MustCompile(issuer+`(/[^"\s<]+)`).FindAllStringSubmatch(index.body, -1) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, n.url+path[1], http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if got := do(t, req); got.status == http.StatusNotFound && !strings.Contains(path[1], "leaks") {
			t.Errorf("the start names %s, which is not there", path[1])
		}
	}
	person.want(t, http.StatusNotFound, "/console/docs/nothing", nil)
	person.want(t, http.StatusNotFound, "/console/docs/..%2fgo.mod", nil)
}
