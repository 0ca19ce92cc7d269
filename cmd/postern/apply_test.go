package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"postern/cmd/postern/declare"
)

// answers is a server that answers as told, one request after the other; 0 is no
// answer. It keeps the Idempotency-Key of each.
type answers struct {
	status []int
	keys   []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.keys = append(a.keys, r.Header.Get("Idempotency-Key"))
	status := a.status[min(len(a.keys), len(a.status))-1]
	if status == 0 {
		return nil, errors.New("connection reset")
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{}`)), Request: r}, nil
}

// What makes something is asked for again only where its key says that it is the
// same, and what the server refused never is.
func TestApplyAsksAgainWhereNothingIsMadeTwice(t *testing.T) {
	for name, tt := range map[string]struct {
		method, once string
		answers      []int
		asked        int
		fails        bool
	}{
		"the store was away":              {"POST", "k", []int{503, 503, 201}, 3, false},
		"the answer was lost":             {"POST", "k", []int{0, 201}, 2, false},
		"so many requests":                {"POST", "k", []int{429, 201}, 2, false},
		"without a key":                   {"POST", "", []int{503, 201}, 1, true},
		"without a key, no answer":        {"POST", "", []int{0, 201}, 1, true},
		"without a key, so many requests": {"POST", "", []int{429, 201}, 2, false},
		"a change, the store was away":    {"PATCH", "", []int{503, 200}, 2, false},
		"a change, the answer was lost":   {"PATCH", "", []int{0, 200}, 1, true},
		"refused":                         {"POST", "k", []int{422, 201}, 1, true},
		"it stays away":                   {"POST", "k", []int{503}, 6, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &answers{status: tt.answers}
				s := &session{base: "http://postern", bearer: "a-token", http: &http.Client{Transport: server}}
				_, err := s.declared()(t.Context(), declare.Request{Method: tt.method, Path: "/roles", Body: map[string]any{}, Once: tt.once})
				if (err != nil) != tt.fails {
					t.Errorf("got %v, want an error: %t", err, tt.fails)
				}
				want := make([]string, tt.asked)
				for i := range want {
					want[i] = tt.once
				}
				if diff := cmp.Diff(want, server.keys); diff != "" {
					t.Errorf("asked with these keys (-want +got):\n%s", diff)
				}
			})
		})
	}
}
