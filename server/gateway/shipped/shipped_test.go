package shipped_test

import (
	"strings"
	"testing"

	"postern/server/gateway/shipped"
)

func TestWhatIsNoFactIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*shipped.Facts)
		want   string
	}{
		{"no API", func(f *shipped.Facts) { f.API = "" }, "no name of an API"},
		{"more than a name", func(f *shipped.Facts) { f.API = "shop;}" }, "no name of an API"},
		{"no port", func(f *shipped.Facts) { f.Upstream = "127.0.0.1" }, "upstream"},
		{"a URL", func(f *shipped.Facts) { f.Decisions = "http://127.0.0.1:8086" }, "decisions"},
		{"a line more", func(f *shipped.Facts) { f.Listen = "127.0.0.1\n:80" }, "listen"},
		{"no host", func(f *shipped.Facts) { f.Decisions = ":8086" }, "need a host"},
		{"a host with a port", func(f *shipped.Facts) { f.Host = "shop.example:80" }, "no name of a host"},
		{"no URL", func(f *shipped.Facts) { f.Issuer = "postern.example" }, "no URL"},
		{"more than a URL", func(f *shipped.Facts) { f.Issuer = "http://a&b" }, "no URL"},
		{"a scope that is a pattern", func(f *shipped.Facts) { f.Scope = ".*" }, "scope"},
		{"a script with a blank", func(f *shipped.Facts) { f.Script = "a b" }, "script"},
	} {
		f := shipped.Example()
		tt.change(&f)
		for _, name := range shipped.Names() {
			if text, err := shipped.Config(name, f); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s, %s: got %d bytes and %v", tt.name, name, len(text), err)
			}
		}
	}
	if _, err := shipped.Config("squid", shipped.Example()); err == nil || !strings.Contains(err.Error(), "nginx") {
		t.Errorf("an unknown gateway: %v", err)
	}
}

func TestNothingIsLeftOpen(t *testing.T) {
	for _, name := range shipped.Names() {
		text, err := shipped.Config(name, shipped.Example())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if s := string(text); strings.Contains(s, "[[") || strings.Contains(s, "<no value>") {
			t.Errorf("%s has a hole:\n%s", name, s)
		}
		if shipped.File(name) == "" {
			t.Errorf("%s has no file", name)
		}
	}
}
