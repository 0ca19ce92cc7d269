package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Issuer is an issuer of workloads' JWTs whose keys take more to read than its
// address, written as the issuer, ca_file=FILE and token_file=FILE with spaces
// between them.
type Issuer struct{ URL, CAFile, TokenFile string }

// String returns what parseIssuers reads.
func (i Issuer) String() string {
	out := i.URL
	if i.CAFile != "" {
		out += " ca_file=" + i.CAFile
	}
	if i.TokenFile != "" {
		out += " token_file=" + i.TokenFile
	}
	return out
}

// parseIssuers reads several, on lines of their own or separated by semicolons.
func parseIssuers(text string) ([]Issuer, error) {
	var list []Issuer
	for item := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ';' || r == '\n' }) {
		fields := strings.Fields(item)
		if len(fields) == 0 {
			continue
		}
		one, err := parseIssuer(fields)
		if err != nil {
			return nil, err
		}
		for _, other := range list {
			if other.URL == one.URL {
				return nil, errors.New("names the issuer " + shown(one.URL) + " twice")
			}
		}
		list = append(list, one)
	}
	return list, nil
}

func parseIssuer(fields []string) (Issuer, error) {
	one := Issuer{URL: fields[0]}
	if u, err := url.Parse(one.URL); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Issuer{}, fmt.Errorf("%s is no issuer: a URL that begins with https://", shown(one.URL))
	}
	for _, field := range fields[1:] {
		name, file, _ := strings.Cut(field, "=")
		to := map[string]*string{"ca_file": &one.CAFile, "token_file": &one.TokenFile}[name]
		if to == nil || file == "" || *to != "" {
			return Issuer{}, fmt.Errorf("after the issuer come ca_file=FILE and token_file=FILE, each once and without spaces, not %s", shown(field))
		}
		*to = file
	}
	if one.CAFile == "" && one.TokenFile == "" {
		return Issuer{}, fmt.Errorf("%s needs ca_file=FILE, token_file=FILE or both; an issuer without them is not listed", shown(one.URL))
	}
	return one, nil
}
