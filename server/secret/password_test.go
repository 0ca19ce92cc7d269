package secret_test

import (
	"strings"
	"testing"

	"postern/server/secret"
)

func TestPassword(t *testing.T) {
	hash, err := secret.HashPassword(secret.Of("correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("HashPassword = %q: other parameters", hash)
	}
	for _, tt := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"the password", hash, "correct horse", true},
		{"another one", hash, "correct horses", false},
		{"an empty one", hash, "", false},
		{"no hash", "", "correct horse", false},
		{"neither", "", "", false},
	} {
		if got, err := secret.MatchesPassword(tt.hash, secret.Of(tt.password)); err != nil || got != tt.want {
			t.Errorf("%s: MatchesPassword = %t, %v, want %t", tt.name, got, err, tt.want)
		}
	}
	if again, err := secret.HashPassword(secret.Of("correct horse")); err != nil || again == hash {
		t.Errorf("hashed again: %q, %v: want another salt", again, err)
	}
	if _, err := secret.HashPassword(secret.Of("")); err == nil {
		t.Error("an empty password was hashed")
	}
}

func TestAHashThatAsksForTooMuchIsAnError(t *testing.T) {
	const tail = "$c29tZXNhbHRzb21lc2FsdA$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI"
	for _, hash := range []string{
		"plain", "$argon2id$", "$2a$10$N9qo8uLOickgx2ZMRZoMye",
		"$argon2i$v=19$m=19456,t=2,p=1" + tail,
		"$argon2id$v=19$m=4194304,t=2,p=1" + tail,
		"$argon2id$v=19$m=19456,t=100000,p=1" + tail,
		"$argon2id$v=19$m=19456,t=0,p=1" + tail,
		"$argon2id$v=19$m=19456,t=2,p=0" + tail,
		"$argon2id$v=19$m=0,t=2,p=1" + tail,
		"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$",
	} {
		if ok, err := secret.MatchesPassword(hash, secret.Of("x")); ok || err == nil {
			t.Errorf("MatchesPassword(%q) = %t, %v, want an error", hash, ok, err)
		}
	}
}
