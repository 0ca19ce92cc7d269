package oauth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"postern/server/oauth"
)

// refusal fails the test unless err is invalid_client, or is answered 400 or 413
// with a description that says nothing of what was sent.
func refusal(t *testing.T, err error) {
	t.Helper()
	if oauth.IsFailure(err) {
		return
	}
	e, ok := errors.AsType[*oauth.Error](err)
	if !ok || e.Status != http.StatusBadRequest && e.Status != http.StatusRequestEntityTooLarge || e.Code != "invalid_request" {
		t.Fatalf("refused with %#v", err)
	}
	if strings.ContainsAny(e.Code+e.Description, "\"\\") || strings.IndexFunc(e.Description, func(r rune) bool { return r < 0x20 || r > 0x7e }) >= 0 {
		t.Errorf("the description %q cannot stand in an answer", e.Description)
	}
}

func formRequest(body string) *http.Request {
	return &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: "/oauth2/token"}, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: readCloser{strings.NewReader(body)},
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// FuzzForm: a body that is read means what the standard library reads in it,
// each parameter once, and written out again it reads the same; one that is not
// read is refused with a word.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{
		"", "&", "=", "&&=&", "a=b", "a=b&a=b", "resource=x&resource=y", "resource=x&%72esource=y", "grant_type=client_credentials&scope=a+b",
		"a=%00", "a=%ff", "a=%c0%af", "a=%zz", "a=%2", "a=%", "a+b=c%20d", "a;b=c", "a=b;c=d", "a=b=c", "%61=1&a=2", "a=\x00", "a=\xff", "a=%26b%3Dc",
		"é=ü", "a=%E2%80%AE", "__proto__=x", "a[$ne]=1", "a.b=1", strings.Repeat("a=&", 5), strings.Repeat("a&", 101),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fields, err := oauth.ReadForm(formRequest(body), "resource")
		if err != nil {
			refusal(t, err)
			return
		}
		if len(body) > 64<<10 || len(fields) > 100 {
			t.Fatalf("%d bytes with %d parameters were read", len(body), len(fields))
		}
		read := url.Values{}
		for _, p := range fields {
			if p[0] != "resource" && read.Has(p[0]) {
				t.Fatalf("%q is there twice in %q", p[0], body)
			}
			if !utf8.ValidString(p[0]+p[1]) || strings.Contains(p[0]+p[1], "\x00") {
				t.Fatalf("%q was read from %q", p, body)
			}
			read.Add(p[0], p[1])
		}
		// The library takes no semicolons, where some servers part parameters by them.
		if want, err := url.ParseQuery(body); err == nil && want.Encode() != read.Encode() {
			t.Errorf("%q reads as %v, and the library reads %v", body, read, want)
		}
		var again []string
		for _, p := range fields {
			again = append(again, url.QueryEscape(p[0])+"="+url.QueryEscape(p[1]))
		}
		text := strings.Join(again, "&")
		if len(text) > 64<<10 {
			return // escapes made it too long
		}
		if twice, err := oauth.ReadForm(formRequest(text), "resource"); err != nil || !slices.Equal(twice, fields) {
			t.Errorf("%q reads as %q, but %q back, %v", body, fields, twice, err)
		}
	})
}

// FuzzBasic: a header that is read is "Basic" and the base64 of two form-encoded
// texts, neither empty, and writing them again gives a header that reads the
// same; the standard library sees the same two texts.
func FuzzBasic(f *testing.F) {
	encode := func(plain string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(plain)) }
	for _, plain := range []string{"a:b", ":", "a:", ":b", "a", "a:b:c", "a%3Ab:c", "a+b:c", "a%00:b", "a\x00:b", "\xff:b", "a:%ff", "a:%", "%61:b", "a\r\n:b", strings.Repeat("a", 5000) + ":b"} {
		f.Add(encode(plain))
	}
	for _, header := range []string{"", "Basic", "Basic ", "basic YTpi", "BASIC YTpi", "Basic  YTpi", "Basic YTpi ", "Basic YTpi=", "Basic YTp", "Basic Y\nTpi", "Basic a b", "Bearer YTpi", "Digest username=x", "Basic YTpi, Basic YTpi", "Basic\tYTpi"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		id, text, err := oauth.ParseBasic(header)
		if err != nil {
			refusal(t, err)
			return
		}
		if id == "" || text == "" || !utf8.ValidString(id+text) || strings.Contains(id+text, "\x00") {
			t.Fatalf("%q reads as %q and %q", header, id, text)
		}
		r := &http.Request{Header: http.Header{"Authorization": {header}}}
		user, password, ok := r.BasicAuth()
		if !ok {
			t.Fatalf("%q reads as %q and %q, and the library reads nothing", header, id, text)
		}
		user, userErr := url.QueryUnescape(user)
		password, passwordErr := url.QueryUnescape(password)
		if user != id || password != text || userErr != nil || passwordErr != nil {
			t.Errorf("%q reads as %q and %q, and the library reads %q and %q", header, id, text, user, password)
		}
		again := encode(url.QueryEscape(id) + ":" + url.QueryEscape(text))
		if len(again) > 4096 {
			return
		}
		if id2, text2, err := oauth.ParseBasic(again); err != nil || id2 != id || text2 != text {
			t.Errorf("%q reads as %q and %q, but %q and %q back, %v", header, id, text, id2, text2, err)
		}
	})
}

// FuzzCredentials: a request is of one client by one method, or refused: never
// the header's client with the body's secret, or the reverse.
func FuzzCredentials(f *testing.F) {
	f.Add("", "a", "b", "")
	f.Add("Basic YTpi", "", "", "")
	f.Add("Basic YTpi", "a", "", "")
	f.Add("Basic YTpi", "b", "", "")
	f.Add("Basic YTpi", "a", "b", "")
	f.Add("Basic YTpi", "", "b", "")
	f.Add("Bearer x", "a", "b", "")
	f.Add("", "a", "b", "ey.ey.x")
	f.Add("Basic YTpi", "", "", "ey.ey.x")
	f.Fuzz(func(t *testing.T, header, id, text, assertion string) {
		var headers []string
		if header != "" {
			headers = []string{header}
		}
		fields := [][2]string{{"client_id", id}, {"client_secret", text}, {"client_assertion", assertion}}
		gotID, gotText, method, err := oauth.ReadCredentials(headers, fields)
		if err != nil {
			refusal(t, err)
		} else {
			basicID, basicText, basicErr := oauth.ParseBasic(header)
			switch {
			case gotID == "" || gotText == "" || assertion != "":
				t.Errorf("taken: %q %q with the assertion %q", gotID, gotText, assertion)
			case method == "client_secret_basic" && (basicErr != nil || gotID != basicID || gotText != basicText || text != "" || id != "" && id != gotID):
				t.Errorf("by header: %q %q of %q, %q, %q", gotID, gotText, header, id, text)
			case method == "client_secret_post" && (header != "" || gotID != id || gotText != text):
				t.Errorf("by body: %q %q of %q, %q, %q", gotID, gotText, header, id, text)
			case method != "client_secret_basic" && method != "client_secret_post":
				t.Errorf("method %q", method)
			}
		}
		if header != "" {
			if _, _, _, err := oauth.ReadCredentials([]string{header, header}, fields); err == nil {
				t.Error("two headers were taken")
			}
		}
	})
}
