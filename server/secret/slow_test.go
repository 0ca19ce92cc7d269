package secret_test

import (
	"errors"
	"strings"
	"testing"

	"postern/server/secret"
	"postern/store"
)

// Made by other programs (Python's hashlib, bcrypt and argon2id of old secret 1).
const (
	slowText   = "old secret 1"
	byBcrypt   = "$2a$05$ra.75ozyTlL7NGE4uMm41.cAUvgzBCXwg5MVQFgc0xpWjlyJF.jnS"
	byPBKDF2   = "$pbkdf2-sha256$i=25000,l=32$c2l4dGVlbiBieXRlcyBvaw$Gh92RP14W764sIfiSCZZsKjMJmPMZIEqbQu03sV4ze4"
	bySHA512   = "$pbkdf2-sha512$i=10000,l=32$c2l4dGVlbiBieXRlcyBvaw$fJEtnS5LR7n6j0uVDw3RZ8zBZZ9b1K4/4jBilFlZsWk"
	byPasslib  = "$pbkdf2-sha256$29000$.//..//..//..//..//..//.$UEC/BxAg1KTaA3Adk1m9o30DEW6ssEfh.e6cjCmMuz4"
	asHydra    = "$pbkdf2-sha256$i=29000,l=32$+//++//++//++//++//++//+$UEC/BxAg1KTaA3Adk1m9o30DEW6ssEfh+e6cjCmMuz4"
	byArgon2id = "$argon2id$v=19$m=1024,t=1,p=1$Xhw+OY4z634JSbo4D4njRw$KkrM8o7BsyHgtGAMGSiylaFqxom8fThkbs2kxT3TGkQ"
)

func TestMatchesSlow(t *testing.T) {
	for name, hash := range map[string]string{
		"bcrypt": byBcrypt, "bcrypt 2y": strings.Replace(byBcrypt, "$2a", "$2y", 1), "bcrypt 2b": strings.Replace(byBcrypt, "$2a", "$2b", 1),
		"PBKDF2-SHA256": byPBKDF2, "PBKDF2-SHA512": bySHA512, "passlib": byPasslib, "argon2id": byArgon2id,
	} {
		for text, want := range map[string]bool{slowText: true, slowText + "x": false, "": false, "old secret 2": false} {
			if got, err := secret.MatchesSlow(secret.Of(text), hash); err != nil || got != want {
				t.Errorf("%s: MatchesSlow(%q) = %t, %v; want %t", name, text, got, err, want)
			}
		}
		kept, err := secret.ParseSlow(hash)
		if err != nil {
			t.Errorf("%s: ParseSlow: %v", name, err)
		}
		if want := map[bool]string{true: asHydra, false: hash}[name == "passlib"]; kept != want {
			t.Errorf("%s: kept as %q, want %q", name, kept, want)
		}
		decoy, err := secret.Decoy(store.SlowCost(kept))
		if err != nil || store.SlowCost(decoy) != store.SlowCost(kept) {
			t.Errorf("%s: Decoy = %q, %v; want one of the same cost", name, decoy, err)
		}
		if got, err := secret.MatchesSlow(secret.Of(slowText), decoy); err != nil || got {
			t.Errorf("%s: the decoy matches: %t, %v", name, got, err)
		}
	}
}

// What asks for too much, or is no hash, is refused before anything is computed.
func TestParseSlowCaps(t *testing.T) {
	const tail = "$c2l4dGVlbiBieXRlcyBvaw$Gh92RP14W764sIfiSCZZsKjMJmPMZIEqbQu03sV4ze4"
	at := func(hash, from, to string) string { return strings.Replace(hash, from, to, 1) }
	for name, tt := range map[string]struct {
		hash string
		good bool
	}{
		"bcrypt of cost 14":           {at(byBcrypt, "$05$", "$14$"), true},
		"bcrypt of cost 15":           {at(byBcrypt, "$05$", "$15$"), false},
		"bcrypt of cost 31":           {at(byBcrypt, "$05$", "$31$"), false},
		"bcrypt of cost 3":            {at(byBcrypt, "$05$", "$03$"), false},
		"bcrypt 2x":                   {at(byBcrypt, "$2a", "$2x"), false},
		"bcrypt cut short":            {byBcrypt[:59], false},
		"bcrypt with a colon":         {at(byBcrypt, ".", ":"), false},
		"1,000,000 rounds":            {"$pbkdf2-sha256$i=1000000,l=32" + tail, true},
		"1,000,001 rounds":            {"$pbkdf2-sha256$i=1000001,l=32" + tail, false},
		"2^32 rounds":                 {"$pbkdf2-sha256$i=4294967296,l=32" + tail, false},
		"no rounds":                   {"$pbkdf2-sha256$i=0,l=32" + tail, false},
		"-1 rounds":                   {"$pbkdf2-sha256$i=-1,l=32" + tail, false},
		"rounds with a zero in front": {"$pbkdf2-sha256$i=025000,l=32" + tail, false},
		"another length":              {"$pbkdf2-sha256$i=25000,l=31" + tail, false},
		"a length of 0":               {"$pbkdf2-sha256$i=25000,l=0$c2l4dGVlbiBieXRlcyBvaw$", false},
		"more parameters":             {"$pbkdf2-sha256$i=25000,l=32,x=1" + tail, false},
		"PBKDF2 with SHA-1":           {"$pbkdf2-sha1$i=25000,l=32" + tail, false},
		"1,000,001 rounds of passlib": {at(byPasslib, "29000", "1000001"), false},
		"padded base64":               {byPBKDF2 + "=", false},
		"a line break":                {at(byPBKDF2, "$Gh", "$\nGh"), false},
		"a short salt":                {"$pbkdf2-sha256$i=25000,l=32$c2l4$Gh92RP14W764sIfiSCZZsKjMJmPMZIEqbQu03sV4ze4", false},
		"64 MiB":                      {"$argon2id$v=19$m=65536,t=10,p=8" + tail, true},
		"more than 64 MiB":            {"$argon2id$v=19$m=65537,t=1,p=1" + tail, false},
		"11 passes":                   {"$argon2id$v=19$m=1024,t=11,p=1" + tail, false},
		"9 lanes":                     {"$argon2id$v=19$m=1024,t=1,p=9" + tail, false},
		"no passes":                   {"$argon2id$v=19$m=1024,t=0,p=1" + tail, false},
		"more in the last parameter":  {"$argon2id$v=19$m=1024,t=1,p=1,x=1" + tail, false},
		"less memory than lanes need": {"$argon2id$v=19$m=8,t=1,p=2" + tail, false},
		"an older version":            {"$argon2id$v=16$m=1024,t=1,p=1" + tail, false},
		"argon2i":                     {"$argon2i$v=19$m=1024,t=1,p=1" + tail, false},
		"scrypt":                      {"$scrypt$ln=16,r=8,p=1" + tail, false},
		"SHA-512 crypt":               {"$6$rounds=5000$salt$digest", false},
		"a plain secret":              {"hunter2", false},
		"nothing":                     {"", false},
		"a long text":                 {"$pbkdf2-sha256$i=25000,l=32$" + strings.Repeat("A", 600), false},
	} {
		_, err := secret.ParseSlow(tt.hash)
		if tt.good != (err == nil) || err != nil && !errors.Is(err, secret.ErrSlowHash) {
			t.Errorf("%s: ParseSlow = %v; want good=%t", name, err, tt.good)
		}
		if err != nil && len(tt.hash) > 8 && strings.Contains(err.Error(), tt.hash[len(tt.hash)-8:]) {
			t.Errorf("%s: the error repeats the hash: %v", name, err)
		}
		if !tt.good {
			if ok, err := secret.MatchesSlow(secret.Of("x"), tt.hash); ok || !errors.Is(err, secret.ErrSlowHash) {
				t.Errorf("%s: MatchesSlow = %t, %v; want ErrSlowHash", name, ok, err)
			}
		}
	}
	for _, cost := range []string{"", "x", "$2a", "$2a$99", "$pbkdf2-sha256", "$pbkdf2-sha256$i=1,l=999", "$argon2id$v=19$m=1"} {
		if decoy, err := secret.Decoy(cost); !errors.Is(err, secret.ErrSlowHash) {
			t.Errorf("Decoy(%q) = %q, %v; want ErrSlowHash", cost, decoy, err)
		}
	}
}

// The law: what is kept is read as itself, and costs what a decoy of its cost does.
func FuzzParseSlow(f *testing.F) {
	for _, seed := range []string{byBcrypt, byPBKDF2, bySHA512, byPasslib, byArgon2id, "$pbkdf2-sha256$i=1,l=16$$", "$2a$04$", "$argon2id$v=19$m=,t=,p=$$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		kept, err := secret.ParseSlow(text)
		if err != nil {
			if !errors.Is(err, secret.ErrSlowHash) {
				t.Errorf("ParseSlow(%q): got %v, want ErrSlowHash", text, err)
			}
			return
		}
		if again, err := secret.ParseSlow(kept); err != nil || again != kept {
			t.Errorf("%q is kept as %q, which is read as %q, %v", text, kept, again, err)
		}
		cost := store.SlowCost(kept)
		if decoy, err := secret.Decoy(cost); err != nil || store.SlowCost(decoy) != cost {
			t.Errorf("%q costs %q, and a decoy of that is %q, %v", kept, cost, decoy, err)
		}
	})
}

func TestStrong(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want bool
	}{
		"Keycloak, 32 letters and digits": {"hQ8zW2nLx5Rt7YvK3mBc9PfGd4Js6AeU", true},
		"Hydra, 26 characters":            {"k9.xT~2VbQ7mZ-4cRw8Lp_1NfY", true},
		"UUID":                            {"3f2b8c1e-9a47-4d06-b5e1-7c90ad21f864", true},
		"16 random bytes in hex":          {"9f86d081884c7d659a2feaa0c55ad015", true},
		"32 random bytes in base64":       {"n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", true},
		"15 random bytes in hex":          {"9f86d081884c7d659a2feaa0c55ad0", false},
		"20 letters and digits":           {"hQ8zW2nLx5Rt7YvK3mBc", false},
		"a word":                          {"password", false},
		"words":                           {"correct-horse-battery-staple-42", false},
		"Words":                           {"CorrectHorse1Battery2Staple3", false},
		"a sentence":                      {"this is 1 sentence of many words that nobody could guess", false},
		"zeros":                           {strings.Repeat("0", 64), false},
		"the alphabet":                    {"abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", false},
		"the hexadecimal digits, twice":   {"0123456789abcdef0123456789abcdef", false},
		"digits":                          {"49284710385729104857203948571029384", false},
		"letters":                         {"hQzWnLxRtYvKmBcPfGdJsAeUqTiOwXyZ", false},
		"other letters":                   {"hQ8zW2nLx5Rt7YvK3mBc9PfGd4Js6Aeü", false},
		"nothing":                         {"", false},
		"too long":                        {strings.Repeat("hQ8zW2nLx5Rt7YvK3mBc", 250), false},
	} {
		if got := secret.Of(tt.text).Strong(); got != tt.want {
			t.Errorf("%s: Strong() = %t, want %t", name, got, tt.want)
		}
	}
}
