package audit_test

import (
	"encoding/base64"
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"postern/server/audit"
	"postern/store"
)

func TestEntryNamesItsTarget(t *testing.T) {
	at := time.Date(2026, 5, 4, 12, 0, 0, 1_999_999, time.UTC)
	before := &store.Role{ID: "rol1", Ref: "acme/reader", Description: "old"}
	after := &store.Role{ID: "rol1", Ref: "acme/reader", Description: "new"}
	for name, records := range map[string][2]store.Record{
		"created": {nil, after}, "changed": {before, after}, "deleted": {before, nil},
	} {
		e := audit.Entry(at, "wsp1", "role.update", records[0], records[1])
		if e.TargetKind != store.KindRole || e.Target != "rol1" || e.TargetName != "acme/reader" {
			t.Errorf("%s: target %s %s %s, want the role", name, e.TargetKind, e.Target, e.TargetName)
		}
		if (e.Before == nil) != (records[0] == nil) || (e.After == nil) != (records[1] == nil) {
			t.Errorf("%s: before %s, after %s", name, e.Before, e.After)
		}
		if e.ID == "" || e.At != store.At(at) || e.Workspace != "wsp1" || e.Operation != "role.update" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// Q14: whatever a record holds that looks like a secret is left out. A new field
// of such a type or name fails here until it is redacted, or said to be public.
func TestRedactedHoldsNoSecretOfAnyRecord(t *testing.T) {
	public := []string{
		"keys.Public", "audit.Before", "audit.After", "audit.Link", "chains.Link", "chains.Signature",
		"status_indexes.Secret", // its id
	}
	secretive := regexp.MustCompile(`(?i)hash|sealed|private|password|token$|secret$|cookie|signature`)
	canary := []byte("canary!!canary!!")
	checked := 0
	for _, kind := range store.Kinds() {
		record, err := store.New(kind)
		if err != nil {
			t.Fatal(err)
		}
		var walk func(path string, v reflect.Value)
		walk = func(path string, v reflect.Value) {
			name := path[strings.LastIndex(path, ".")+1:]
			switch {
			case slices.Contains(public, path):
			case v.Kind() == reflect.Struct:
				for i := range v.NumField() {
					walk(path+"."+v.Type().Field(i).Name, v.Field(i))
				}
			case v.Type().ConvertibleTo(reflect.TypeFor[[]byte]()) && v.Kind() == reflect.Slice:
				v.SetBytes(canary)
				checked++
			case v.Kind() == reflect.Slice:
				v.Set(reflect.MakeSlice(v.Type(), 1, 1))
				walk(path, v.Index(0))
			case v.Kind() == reflect.String && secretive.MatchString(name):
				v.SetString(string(canary))
				checked++
			case v.Kind() == reflect.String:
				v.SetString("plain " + name)
			case v.Kind() == reflect.Pointer:
				v.Set(reflect.New(v.Type().Elem()))
				walk(path, v.Elem())
			case v.Kind() == reflect.Map || v.Kind() == reflect.Interface:
				t.Errorf("%s is a %s: this test does not look inside", path, v.Kind())
			}
		}
		walk(string(kind), reflect.ValueOf(record).Elem())
		got := string(audit.Redacted(record))
		if strings.Contains(got, string(canary)) || strings.Contains(got, base64.StdEncoding.EncodeToString(canary)) {
			t.Errorf("%s: a secret is in %s", kind, got)
		}
		if !strings.Contains(got, "plain ") {
			t.Errorf("%s: %s, want everything else", kind, got)
		}
		if full, err := json.Marshal(record); err == nil && kind == store.KindClient && !strings.Contains(string(full), base64.StdEncoding.EncodeToString(canary)) {
			t.Error("the record itself was changed")
		}
	}
	if checked != 10 {
		t.Errorf("%d secret fields, want 10: RegistrationHash, Hash and SlowHash of a secret, PasswordHash, InviteHash, RecoveryHashes, Sealed of a key, of a second factor and of a webhook, Body of a delivery", checked)
	}
}

func TestRedactedOfNothingIsNothing(t *testing.T) {
	if diff := cmp.Diff(json.RawMessage(nil), audit.Redacted(nil)); diff != "" {
		t.Error(diff)
	}
}

// The store may write JSON anew, so what is sealed must already be as it writes it.
func TestRedactedIsAsJSONWritesItAgain(t *testing.T) {
	first := audit.Redacted(&store.Team{Name: "<ops> & \u2028 \xff"})
	again, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(first), string(again)); diff != "" {
		t.Error(diff)
	}
}
