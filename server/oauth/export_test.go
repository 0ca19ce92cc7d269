package oauth

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
)

// ReadForm reads a form and returns its parameters in order.
func ReadForm(r *http.Request, repeatable string) ([][2]string, error) {
	f, err := readForm(r, repeatable)
	var out [][2]string
	for _, p := range f {
		out = append(out, [2]string{p.name, p.value})
	}
	return out, err
}

// ParseBasic reads an Authorization header.
func ParseBasic(header string) (id, text string, err error) {
	c, err := parseBasic(header)
	return c.id, c.text, err
}

// ReadCredentials reads what a request says of its client.
func ReadCredentials(authorization []string, fields [][2]string) (id, text, method string, err error) {
	var f form
	for _, p := range fields {
		f = append(f, parameter{p[0], p[1]})
	}
	c, err := readCredentials(authorization, f)
	return c.id, c.text, c.method, err
}

// IsFailure reports whether an error is answered as invalid_client.
func IsFailure(err error) bool {
	_, ok := errors.AsType[failure](err)
	return ok
}

// Answer answers a request with an error, as Handler does.
func (h *Handler) Answer(c *gin.Context, err error) { h.answer(c, AsError(err)) }
