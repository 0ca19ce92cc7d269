package config_test

import (
	"fmt"

	"postern/config"
)

// A value is taken from the first that has it: flag, environment, file, default.
func ExampleLoad() {
	file := `
server:
  listen: 0.0.0.0:8085
  public_url: https://auth.example.com
tokens:
  access_ttl: 15m
`
	c, warnings, err := config.Load(config.Options{
		File:     "postern.yaml",
		Environ:  []string{"POSTERN_TOKENS_ACCESS_TTL=5m", "POSTERN_TOKENS_FORMT=opaque"},
		ReadFile: func(string) ([]byte, error) { return []byte(file), nil }, // nil reads from disk
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(warnings[0])
	fmt.Println(c.Issuer(), c.Tokens.AccessTTL, c.Tokens.Format, c.Validate())
	// Output:
	// POSTERN_TOKENS_FORMT: unknown variable, the nearest is POSTERN_TOKENS_FORMAT
	// https://auth.example.com 5m0s jwt <nil>
}

// Every fault is one line: the key, its value unless it is secret, what is allowed.
func ExampleConfig_Validate() {
	c := config.Default()
	c.Server.Listen = ":8085"
	c.Store.Driver = "mongodb"
	c.Store.MongoDB.URI = config.NewSecret("mongodb://db.example.com")
	fmt.Println(c.Validate())
	// Output:
	// server.public_url: is required, since server.listen ":8085" is not on loopback: the https URL that clients reach this server by
	// keys.encryption_key: is required with store.driver mongodb; make one with: openssl rand -base64 32
}
