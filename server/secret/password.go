package secret

import (
	"errors"
	"fmt"

	"github.com/alexedwards/argon2id"
)

// The cost of a new password hash: OWASP's first recommendation for argon2id
// (19 MiB, two passes, one lane). The hash carries its own parameters, so these
// can be raised later.
const (
	passwordMemory = 19 * 1024 // KiB
	passwordPasses = 2
	passwordLanes  = 1
	passwordSalt   = 16
	passwordKey    = 32
)

// The most that a hash may ask for when it is checked: an imported one must not
// be able to take the memory of the server.
const (
	mostMemory = 256 * 1024 // KiB
	mostPasses = 16
	mostLanes  = 16
)

// HashPassword hashes a person's password with argon2id (RFC 9106), in the PHC
// string format. It takes some 20 ms and 19 MiB: the caller limits how many run
// at once. An empty password is an error.
func HashPassword(password Secret) (string, error) {
	if !password.IsSet() {
		return "", errors.New("hash a password: it is empty")
	}
	hash, err := argon2id.CreateHash(password.Reveal(), &argon2id.Params{
		Memory:      passwordMemory,
		Iterations:  passwordPasses,
		Parallelism: passwordLanes,
		SaltLength:  passwordSalt,
		KeyLength:   passwordKey,
	})
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// MatchesPassword reports whether password is what an argon2id hash was made
// from. An empty hash, and an empty password, match nothing. A hash that cannot
// be read, or asks for more than 256 MiB, 16 passes or 16 lanes, is an error.
func MatchesPassword(hash string, password Secret) (bool, error) {
	if hash == "" || !password.IsSet() {
		return false, nil
	}
	p, salt, key, err := argon2id.DecodeHash(hash)
	if err != nil {
		return false, fmt.Errorf("read a password hash: %w", err)
	}
	if p.Iterations < 1 || p.Iterations > mostPasses || p.Parallelism < 1 || p.Parallelism > mostLanes ||
		p.Memory < 1 || p.Memory > mostMemory || len(salt) < 8 || len(key) < 16 || len(key) > 64 {
		return false, errors.New("read a password hash: its parameters are out of bounds")
	}
	ok, err := argon2id.ComparePasswordAndHash(password.Reveal(), hash)
	if err != nil {
		return false, fmt.Errorf("compare a password: %w", err)
	}
	return ok, nil
}
