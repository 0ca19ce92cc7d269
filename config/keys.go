package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

const envPrefix = "POSTERN_"

// Key describes one key of the configuration.
type Key struct {
	Name    string // its path, such as "server.listen"
	Env     string // its variable, such as "POSTERN_SERVER_LISTEN"
	FileEnv string // the variable that names a file with the value; secrets only
	Flag    string // its flag on `postern serve`, such as "--listen"; may be empty
	Default string // the text of the default; lists are separated by commas
	Type    string // in words: "text", "duration", or the allowed values: "jwt|opaque"
	Doc     string // one line
	Secret  bool   // whether the value is never shown; Name + "_file" is a key too
}

// Keys returns every key, in the order of Config.
func Keys() []Key {
	var keys []Key
	for _, f := range fields() {
		keys = append(keys, f.Key)
	}
	return keys
}

// Default returns the configuration when nothing is set.
func Default() Config {
	var c Config
	for _, f := range fields() {
		if err := parse(f.in(&c), f.Default); err != nil {
			panic(fmt.Sprintf("config: the default of %s: %v", f.Name, err)) // a slip in a tag
		}
	}
	return c
}

// A field is a Key and its place in Config.
type field struct {
	Key
	oneof []string
	index []int
}

// in returns a pointer to the field in c.
func (f field) in(c *Config) any {
	return reflect.ValueOf(c).Elem().FieldByIndex(f.index).Addr().Interface()
}

func fields() []field {
	return fieldsOf(reflect.TypeFor[Config](), "", nil)
}

// fieldsOf returns the fields of the section at path, and of those inside it.
func fieldsOf(section reflect.Type, path string, index []int) []field {
	var all []field
	for sf := range section.Fields() {
		name := sf.Tag.Get("koanf")
		if name == "-" {
			continue
		}
		at := append(append([]int(nil), index...), sf.Index...)
		kind := typeName(reflect.New(sf.Type).Interface())
		if kind == "" {
			all = append(all, fieldsOf(sf.Type, path+name+".", at)...)
			continue
		}
		f := field{index: at, Key: Key{
			Name:    path + name,
			Env:     envName(path + name),
			Default: sf.Tag.Get("default"),
			Type:    kind,
			Doc:     sf.Tag.Get("doc"),
			Secret:  sf.Type == reflect.TypeFor[Secret](),
		}}
		if flag := sf.Tag.Get("flag"); flag != "" {
			f.Flag = "--" + flag
		}
		if f.Secret {
			f.FileEnv = f.Env + "_FILE"
		}
		if values, ok := sf.Tag.Lookup("oneof"); ok {
			f.oneof = strings.Split(values, "|")
			f.Type = strings.TrimPrefix(values, "|")
		}
		all = append(all, f)
	}
	return all
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// The lists whose items may have commas in them.
const (
	groupTeams = "list of group=team"
	issuers    = "list of issuers, each with ca_file=FILE and token_file=FILE"
)

// typeName says in words what at points to; empty for a section.
func typeName(at any) string {
	switch at.(type) {
	case *string:
		return "text"
	case *Secret:
		return "secret"
	case *bool:
		return "true|false"
	case *time.Duration:
		return "duration"
	case *Lifetime:
		return "lifetime"
	case *[]Lifetime:
		return "list of lifetimes"
	case *Rate:
		return "rate"
	case *[]netip.Prefix:
		return "list of networks"
	case *[]GroupTeam:
		return groupTeams
	case *[]Issuer:
		return issuers
	}
	return ""
}
