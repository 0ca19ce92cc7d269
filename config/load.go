package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Options says where Load reads. The zero Options reads nothing, which leaves
// the defaults.
type Options struct {
	Flags   *pflag.FlagSet // parsed, with what [Flags] defined; nil for none
	File    string         // the YAML file; empty for none
	Environ []string       // as of [os.Environ]; nil for none
	// ReadFile reads File and the files of secrets; nil means [os.ReadFile].
	ReadFile func(name string) ([]byte, error)
}

// Flags defines the flags of `postern serve` on fs: those of [Keys], --config,
// which the caller hands to Load as Options.File, and --bootstrap-file.
func Flags(fs *pflag.FlagSet) {
	fs.String("config", "", "YAML file with the configuration")
	for _, f := range fields() {
		if f.Flag != "" {
			fs.String(strings.TrimPrefix(f.Flag, "--"), "", f.Doc+" ("+f.Name+")")
		}
	}
	fs.String("bootstrap-file", "", "file for the secrets that the first start makes")
}

// Load returns the defaults with what the file, the environment and the flags
// set, the later winning, and one warning for each POSTERN_ variable that means
// nothing. A null in the file and an empty variable set nothing. A secret may be
// in a file of its own, named by its key or variable with _file or _FILE added.
//
// The error joins every unknown key, each with the nearest known one, and every
// value of the wrong type. Whether the values make sense is for
// [Config.Validate] to say.
func Load(opts Options) (Config, []string, error) {
	if opts.ReadFile == nil {
		opts.ReadFile = os.ReadFile
	}
	set := make(map[string]setting)
	var faults []error
	if opts.File != "" {
		tree, err := readYAML(opts)
		if err != nil {
			return Config{}, nil, err
		}
		label := func(key string) string { return opts.File + ": " + key }
		faults = append(faults, collect(set, tree, label)...)
	}
	tree, warnings, err := readEnviron(opts.Environ)
	if err != nil {
		return Config{}, nil, fmt.Errorf("read the environment: %w", err)
	}
	faults = append(faults, collect(set, tree, envName)...)

	c := Default()
	if opts.Flags != nil {
		tree, flags, err := readFlags(opts.Flags)
		if err != nil {
			return Config{}, nil, fmt.Errorf("read the flags: %w", err)
		}
		faults = append(faults, collect(set, tree, func(key string) string { return flags[key] })...)
		if f := opts.Flags.Lookup("bootstrap-file"); f != nil && f.Changed {
			c.Bootstrap.File = f.Value.String()
		}
	}
	for _, f := range fields() {
		if s, ok := set[f.Name]; ok {
			if err := s.apply(f.in(&c), opts.ReadFile); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", s.label, err))
			}
		}
	}
	if err := errors.Join(faults...); err != nil {
		return Config{}, warnings, err
	}
	return c, warnings, nil
}

// A setting is one key's value and where it was found.
type setting struct {
	value    any
	label    string
	fromFile bool // value names the file that holds the secret
}

func (s setting) apply(at any, readFile func(string) ([]byte, error)) error {
	if !s.fromFile {
		text, err := asText(at, s.value)
		if err != nil {
			return err
		}
		return parse(at, text)
	}
	name, ok := s.value.(string)
	if !ok {
		return errors.New("must be the name of a file")
	}
	data, err := readFile(name)
	if err != nil {
		// Not the name: people put the secret itself here by mistake.
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			return fmt.Errorf("read the file it names: %w", path.Err)
		}
		return errors.New("the file it names cannot be read")
	}
	text := strings.TrimSpace(string(data))
	if text == "" {
		return errors.New("the file it names is empty")
	}
	return parse(at, text)
}

// collect adds what tree sets to set, over what is there, and returns what is
// wrong with its keys. label says where a key was found.
func collect(set map[string]setting, tree map[string]any, label func(key string) string) []error {
	known := knownKeys()
	found := make(map[string]setting)
	var faults []error
	var walk func(path string, section map[string]any)
	walk = func(path string, section map[string]any) {
		for _, name := range slices.Sorted(maps.Keys(section)) {
			key, value := path+name, section[name]
			inner, isSection := value.(map[string]any)
			k, isKey := known.byName[key]
			switch {
			case isKey && value == nil:
			case isKey:
				if other, twice := found[k.name]; twice {
					faults = append(faults, fmt.Errorf("%s: is set here and as %s: keep one", label(key), other.label))
					continue
				}
				found[k.name] = setting{value: value, label: label(key), fromFile: k.isFile}
			case len(inner) > 0:
				walk(key+".", inner)
			case known.hasSection(key) && (value == nil || isSection):
			case known.hasSection(key):
				faults = append(faults, fmt.Errorf("%s: is a section: its keys go below it, indented", label(key)))
			default:
				faults = append(faults, fmt.Errorf("%s: unknown key, the nearest is %s",
					label(clip(key)), nearest(key, known.names)))
			}
		}
	}
	walk("", tree)
	maps.Copy(set, found)
	return faults
}

// A keyTable holds every key that can be set, in the order of Config. For each
// secret it holds the key with _file added, too.
type keyTable struct {
	names  []string
	byName map[string]settable
}

type settable struct {
	name   string // of the field
	isFile bool
}

func knownKeys() keyTable {
	table := keyTable{byName: make(map[string]settable)}
	for _, f := range fields() {
		table.names = append(table.names, f.Name)
		table.byName[f.Name] = settable{name: f.Name}
		if f.Secret {
			table.names = append(table.names, f.Name+"_file")
			table.byName[f.Name+"_file"] = settable{name: f.Name, isFile: true}
		}
	}
	return table
}

func (t keyTable) hasSection(path string) bool {
	return slices.ContainsFunc(t.names, func(key string) bool { return strings.HasPrefix(key, path+".") })
}

// content is a koanf provider of bytes already read.
type content []byte

func (c content) ReadBytes() ([]byte, error) { return c, nil }

func (content) Read() (map[string]any, error) { return nil, errors.ErrUnsupported }

func readYAML(opts Options) (map[string]any, error) {
	data, err := opts.ReadFile(opts.File)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if hasSeveralDocuments(data) {
		return nil, fmt.Errorf("%s: holds several YAML documents, want one", opts.File)
	}
	k := koanf.New(".")
	if err := k.Load(content(data), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("%s: %s", opts.File, yamlFault(err))
	}
	return k.Raw(), nil
}

// hasSeveralDocuments reports whether more than one document has content: the
// parser would read the first and silently leave out the others.
func hasSeveralDocuments(data []byte) bool {
	marker := regexp.MustCompile(`(?m)^(---|\.\.\.)([ \t\r]|$)`)
	line := regexp.MustCompile(`(?m)^[ \t]*[^ \t\r\n#%]`)
	documents := 0
	for _, document := range marker.Split(string(data), -1) {
		if line.MatchString(document) {
			documents++
		}
	}
	return documents > 1
}

// yamlFault returns what of the parser's error quotes no value: those of its
// messages with a line are fixed texts, others may repeat the file.
func yamlFault(err error) string {
	if fault, ok := strings.CutPrefix(err.Error(), "yaml: line "); ok {
		return "line " + fault
	}
	twice := regexp.MustCompile(`line \d+: mapping key "[\w.-]{1,64}" already defined at line \d+`)
	if fault := twice.FindString(err.Error()); fault != "" {
		return fault
	}
	return "is not a YAML mapping of sections and keys"
}

// readEnviron returns the variables of known keys, and a warning for each other
// one that begins with POSTERN_.
func readEnviron(environ []string) (tree map[string]any, warnings []string, err error) {
	var names []string
	byEnv := make(map[string]string)
	for _, key := range knownKeys().names {
		names = append(names, envName(key))
		byEnv[envName(key)] = key
	}
	transform := func(name, value string) (string, any) {
		key, known := byEnv[name]
		switch {
		case known && value != "":
			return key, value
		case !known && !ignored(name):
			warnings = append(warnings, fmt.Sprintf("%s: unknown variable, the nearest is %s",
				clip(name), nearest(name, names)))
		}
		return "", nil
	}
	k := koanf.New(".")
	err = k.Load(env.Provider(".", env.Opt{
		Prefix:        envPrefix,
		TransformFunc: transform,
		EnvironFunc:   func() []string { return environ },
	}), nil)
	slices.Sort(warnings)
	return k.Raw(), slices.Compact(warnings), err
}

// ignored reports whether a variable is not meant for the configuration:
// Kubernetes makes the first two for a Service named postern, tests the third, and
// the last is for the command line.
func ignored(name string) bool {
	return strings.HasPrefix(name, "POSTERN_SERVICE_") ||
		strings.HasPrefix(name, "POSTERN_PORT") ||
		strings.HasPrefix(name, "POSTERN_TEST_") ||
		name == "POSTERN_CLIENT_SECRET"
}

// readFlags returns the flags that were set, and the flag of each of their keys.
func readFlags(fs *pflag.FlagSet) (tree map[string]any, flags map[string]string, err error) {
	flags = make(map[string]string)
	byFlag := make(map[string]string)
	for _, f := range fields() {
		if f.Flag != "" {
			flags[f.Name] = f.Flag
			byFlag[f.Flag] = f.Name
		}
	}
	k := koanf.New(".")
	// Without a Koanf to compare with, the provider leaves out unset flags.
	err = k.Load(posflag.ProviderWithFlag(fs, ".", nil, func(f *pflag.Flag) (string, any) {
		return byFlag["--"+f.Name], f.Value.String()
	}), nil)
	return k.Raw(), flags, err
}
