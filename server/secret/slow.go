package secret

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// The most that the slow hash of an imported secret may ask for: one comparison
// takes a second or two at worst, and 64 MiB.
const (
	mostBcryptCost      = 14
	mostPBKDF2Rounds    = 1_000_000
	mostSlowMemory      = 64 * 1024 // KiB, of argon2id
	mostSlowPasses      = 10
	mostSlowLanes       = 8
	leastSalt, mostSalt = 8, 64
	leastKey, mostKey   = 16, 64
)

// ErrSlowHash is a slow hash that cannot be read, or asks for too much. The text
// around it says what is wrong, and holds nothing of the hash.
var ErrSlowHash = errors.New("not a hash of bcrypt, PBKDF2 or argon2id that can be imported")

func badHash(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSlowHash, fmt.Sprintf(format, args...))
}

// ParseSlow checks the hash of an imported secret and returns it as it is kept.
// It reads
//
//	$2a$10$…                                bcrypt, also as $2b$ and $2y$, of cost 4 to 14
//	$pbkdf2-sha256$i=25000,l=32$SALT$HASH   PBKDF2 as Ory Hydra writes it, also with sha512; up to 1,000,000 rounds
//	$pbkdf2-sha256$25000$SALT$HASH          the same as passlib writes it, kept as the one before
//	$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH   argon2id (RFC 9106) with up to 64 MiB, 10 passes and 8 lanes
//
// Anything else, and what asks for more than that, is ErrSlowHash.
func ParseSlow(text string) (string, error) {
	s, err := parseSlow(text)
	if err != nil {
		return "", err
	}
	return s.kept, nil
}

// MatchesSlow reports whether given is the secret that a slow hash was made
// from. An empty secret matches nothing. A hash that ParseSlow refuses is
// ErrSlowHash. It takes as long as the hash asks for: the caller limits how many
// run at once.
func MatchesSlow(given Secret, text string) (bool, error) {
	s, err := parseSlow(text)
	if err != nil || !given.IsSet() {
		return false, err
	}
	return s.matches(given.Reveal())
}

// Decoy returns a slow hash that costs as much as another one (store.SlowCost),
// and that nobody has a secret for. A cost that cannot be read is ErrSlowHash.
func Decoy(cost string) (string, error) {
	const salt = "$AAAAAAAAAAAAAAAAAAAAAA"
	text := cost
	switch {
	case strings.HasPrefix(cost, "$2"):
		text += "$......................" + strings.Repeat(".", 31)
	case strings.HasPrefix(cost, "$pbkdf2-"):
		_, params, _ := strings.Cut(cost[1:], "$")
		_, length, err := roundsAndLength(params)
		if err != nil {
			return "", err
		}
		text += salt + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, length))
	default:
		text += salt + "$" + base64.RawStdEncoding.EncodeToString(make([]byte, passwordKey))
	}
	return ParseSlow(text)
}

// IsArgon2id reports whether a slow hash is one of argon2id, which is what the
// others are replaced by.
func IsArgon2id(text string) bool { return strings.HasPrefix(text, "$argon2id$") }

// slow is a hash that was read.
type slow struct {
	kept    string
	matches func(text string) (bool, error)
}

func parseSlow(text string) (slow, error) {
	switch {
	case len(text) > 512:
		return slow{}, badHash("it is too long")
	case strings.HasPrefix(text, "$2"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$pbkdf2-"):
		return parsePBKDF2(text)
	case IsArgon2id(text):
		return parseArgon2id(text)
	default:
		return slow{}, badHash("it begins with none of $2a$, $2b$, $2y$, $pbkdf2-sha256$, $pbkdf2-sha512$ and $argon2id$")
	}
}

func parseBcrypt(text string) (slow, error) {
	const length = len("$2a$10$") + 22 + 31
	if len(text) != length || text[3] != '$' || text[6] != '$' || strings.IndexByte("aby", text[2]) < 0 {
		return slow{}, badHash("a hash of bcrypt has the form $2a$10$ and 53 characters")
	}
	cost, ok := decimal(text[4:6], mostBcryptCost, true)
	if !ok || cost < bcrypt.MinCost {
		return slow{}, badHash("the cost of bcrypt must be %d to %d", bcrypt.MinCost, mostBcryptCost)
	}
	if strings.Trim(text[7:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return slow{}, badHash("salt and digest of bcrypt have characters of ./A-Za-z0-9 only")
	}
	return slow{text, func(given string) (bool, error) {
		err := bcrypt.CompareHashAndPassword([]byte(text), []byte(given))
		if errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
			return false, nil
		}
		if err != nil {
			return false, badHash("bcrypt cannot read it")
		}
		return true, nil
	}}, nil
}

func parsePBKDF2(text string) (slow, error) {
	parts := strings.Split(text[1:], "$")
	if len(parts) != 4 {
		return slow{}, badHash("a hash of PBKDF2 has the form $pbkdf2-sha256$i=25000,l=32$SALT$HASH")
	}
	var digest func() hash.Hash
	switch parts[0] {
	case "pbkdf2-sha256":
		digest = sha256.New
	case "pbkdf2-sha512":
		digest = sha512.New
	default:
		return slow{}, badHash("PBKDF2 is known with sha256 and sha512")
	}
	passlib := !strings.HasPrefix(parts[1], "i=")
	if passlib { // whose base64 has a dot for the plus
		parts[2], parts[3] = strings.ReplaceAll(parts[2], ".", "+"), strings.ReplaceAll(parts[3], ".", "+")
	}
	salt, key, err := saltAndKey(parts[2], parts[3])
	if err != nil {
		return slow{}, err
	}
	if passlib {
		parts[1] = "i=" + parts[1] + ",l=" + strconv.Itoa(len(key))
	}
	rounds, length, err := roundsAndLength(parts[1])
	if err != nil {
		return slow{}, err
	}
	if length != len(key) {
		return slow{}, badHash("its digest is not as long as it says")
	}
	return slow{"$" + strings.Join(parts, "$"), func(given string) (bool, error) {
		made, err := pbkdf2.Key(digest, given, salt, rounds, length)
		if err != nil {
			return false, fmt.Errorf("PBKDF2: %w", err)
		}
		return subtle.ConstantTimeCompare(made, key) == 1, nil
	}}, nil
}

// roundsAndLength reads "i=25000,l=32".
func roundsAndLength(params string) (rounds, length int, err error) {
	i, l, _ := strings.Cut(params, ",l=")
	i, found := strings.CutPrefix(i, "i=")
	rounds, ok := decimal(i, mostPBKDF2Rounds, false)
	if !found || !ok {
		return 0, 0, badHash("PBKDF2 must have 1 to %d rounds", mostPBKDF2Rounds)
	}
	length, ok = decimal(l, mostKey, false)
	if !ok || length < leastKey {
		return 0, 0, badHash("its digest must have %d to %d bytes", leastKey, mostKey)
	}
	return rounds, length, nil
}

func parseArgon2id(text string) (slow, error) {
	parts := strings.Split(text[1:], "$")
	if len(parts) != 5 || parts[1] != "v=19" {
		return slow{}, badHash("a hash of argon2id has the form $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH")
	}
	m, rest, _ := strings.Cut(parts[2], ",t=")
	t, p, _ := strings.Cut(rest, ",p=")
	m, found := strings.CutPrefix(m, "m=")
	memory, okMemory := decimal(m, mostSlowMemory, false)
	_, okPasses := decimal(t, mostSlowPasses, false)
	lanes, okLanes := decimal(p, mostSlowLanes, false)
	if !found || !okMemory || !okPasses || !okLanes || memory < 8*lanes {
		return slow{}, badHash("argon2id may ask for up to %d KiB, %d passes and %d lanes, and for 8 KiB a lane at least", mostSlowMemory, mostSlowPasses, mostSlowLanes)
	}
	if _, _, err := saltAndKey(parts[3], parts[4]); err != nil {
		return slow{}, err
	}
	return slow{text, func(given string) (bool, error) { return MatchesPassword(text, Of(given)) }}, nil
}

func saltAndKey(saltText, keyText string) (salt, key []byte, err error) {
	// The library skips line breaks.
	if strings.ContainsAny(saltText+keyText, "\r\n") {
		return nil, nil, badHash("its salt and digest must be base64 without padding")
	}
	salt, err = base64.RawStdEncoding.Strict().DecodeString(saltText)
	if err == nil {
		key, err = base64.RawStdEncoding.Strict().DecodeString(keyText)
	}
	switch {
	case err != nil:
		return nil, nil, badHash("its salt and digest must be base64 without padding")
	case len(salt) < leastSalt || len(salt) > mostSalt:
		return nil, nil, badHash("its salt must have %d to %d bytes", leastSalt, mostSalt)
	case len(key) < leastKey || len(key) > mostKey:
		return nil, nil, badHash("its digest must have %d to %d bytes", leastKey, mostKey)
	}
	return salt, key, nil
}

// decimal reads a decimal number from 1 to most, in its one spelling unless
// zeros may lead.
func decimal(text string, most int, zeros bool) (int, bool) {
	if text == "" || len(text) > 9 || strings.Trim(text, "0123456789") != "" || text[0] == '0' && !zeros {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= most
}
