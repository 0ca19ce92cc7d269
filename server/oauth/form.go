package oauth

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
	"unsafe"
)

const (
	maxForm       = 64 << 10
	maxParameters = 100
)

// form is the parameters of a request, in the order they came.
type form []parameter

type parameter struct{ name, value string }

// get returns the one value of a parameter. Empty is as good as absent (RFC
// 6749 section 3.2).
func (f form) get(name string) string {
	for i := range f {
		if f[i].name == name {
			return f[i].value
		}
	}
	return ""
}

// all returns the values of a parameter that may be repeated.
func (f form) all(name string) []string {
	var out []string
	for i := range f {
		if f[i].name == name && f[i].value != "" {
			out = append(out, f[i].value)
		}
	}
	return out
}

// readForm reads the parameters of a request: from the body alone, form-encoded,
// at most 64 KiB, none of them twice except those named (RFC 6749 section 3.2
// forbids it; RFC 8707 section 2 allows it for resource).
func readForm(r *http.Request, repeatable string) (form, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, invalidRequest("parameters go into the body, not into the query, where they would be logged")
	}
	if !isForm(r.Header["Content-Type"]) {
		return nil, &Error{Code: "invalid_request", Status: http.StatusUnsupportedMediaType, Description: "the body must be application/x-www-form-urlencoded in UTF-8"}
	}
	if r.ContentLength > maxForm {
		return nil, tooLarge()
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return parseForm(body, repeatable)
}

func tooLarge() error {
	return &Error{Code: "invalid_request", Status: http.StatusRequestEntityTooLarge, Description: "the body is larger than 64 KiB"}
}

// readBody reads the whole body into one allocation where its length is known.
func readBody(r *http.Request) (string, error) {
	size := r.ContentLength + 1 // one more tells the end from more
	if size <= 0 {
		size = maxForm + 1
	}
	b := make([]byte, size)
	n, err := io.ReadFull(r.Body, b)
	switch {
	case err == nil:
		return "", tooLarge()
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) || int64(n) < r.ContentLength:
		return "", &Error{Code: "invalid_request", Status: http.StatusBadRequest, Description: "the body ended early", Err: err}
	}
	return unsafe.String(unsafe.SliceData(b), n), nil //nolint:gosec // b is not written any more
}

func isForm(contentType []string) bool {
	if len(contentType) != 1 {
		return false
	}
	if contentType[0] == "application/x-www-form-urlencoded" {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(contentType[0])
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return false
	}
	charset, set := params["charset"]
	return !set || strings.EqualFold(charset, "utf-8")
}

var errForm = errors.New("not a form")

// parseForm splits a form-encoded body.
func parseForm(body, repeatable string) (form, error) {
	if body == "" {
		return nil, nil
	}
	f := make(form, 0, 8)
	for part := range strings.SplitSeq(body, "&") {
		if part == "" {
			continue
		}
		if len(f) == maxParameters {
			return nil, invalidRequest("there are more than 100 parameters")
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := unescape(name)
		if err == nil {
			value, err = unescape(value)
		}
		if err != nil {
			return nil, &Error{Code: "invalid_request", Status: http.StatusBadRequest, Description: "a parameter is not form-encoded UTF-8 text", Err: err}
		}
		if name != repeatable {
			for i := range f {
				if f[i].name == name {
					return nil, invalidRequest("a parameter is there twice")
				}
			}
		}
		f = append(f, parameter{name, value})
	}
	return f, nil
}

func unescape(s string) (string, error) {
	out := s
	if strings.ContainsAny(s, "%+") {
		var err error
		if out, err = url.QueryUnescape(s); err != nil {
			return "", errForm
		}
	}
	if !utf8.ValidString(out) || strings.IndexByte(out, 0) >= 0 {
		return "", errForm
	}
	return out, nil
}
