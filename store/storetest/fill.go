package storetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"postern/store"
)

// full returns a record of a kind with something in every field, of those that
// are added later too. The tag makes its texts differ from another tag's.
func full(t *testing.T, kind store.Kind, tag string) store.Record {
	t.Helper()
	return build(t, kind, func(v reflect.Value) { fill(v, tag, new(int64)) })
}

// hollow returns a record of a kind that has only an id and its unique names,
// and whose lists are empty instead of nil.
func hollow(t *testing.T, kind store.Kind, tag string) store.Record {
	t.Helper()
	return build(t, kind, func(v reflect.Value) {
		for i := range v.NumField() {
			switch f := v.Field(i); {
			case f.Type() == reflect.TypeFor[json.RawMessage]():
			case f.Kind() == reflect.Slice:
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			case unique(v.Type().Field(i).Name):
				fill(f, tag+" "+v.Type().Field(i).Name, new(int64))
			}
		}
	})
}

// bare is what hollow must read back as.
func bare(t *testing.T, kind store.Kind, tag string) store.Record {
	t.Helper()
	return build(t, kind, func(v reflect.Value) {
		for i := range v.NumField() {
			if unique(v.Type().Field(i).Name) && v.Field(i).Kind() != reflect.Slice {
				fill(v.Field(i), tag+" "+v.Type().Field(i).Name, new(int64))
			}
		}
	})
}

func unique(field string) bool {
	switch field {
	case "ID", "Name", "Audience", "Ref", "Place":
		return true
	}
	return false
}

func build(t *testing.T, kind store.Kind, set func(reflect.Value)) store.Record {
	t.Helper()
	r, err := store.New(kind)
	if err != nil {
		t.Fatal(err)
	}
	v := reflect.ValueOf(r).Elem()
	set(v)
	if g, ok := r.(*store.Grant); ok {
		g.Holder, g.Workspace = store.HolderID("tea"+string(g.ID)), store.WorkspaceID("wsp"+string(g.ID))
		g.ID = store.NewGrantID(g.Holder, g.Workspace)
	}
	return r.WithRev(1)
}

// fill sets a value, and all values in it, to something that is not zero and
// tells where it stands: texts have its path, numbers count.
func fill(v reflect.Value, path string, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.String:
		v.SetString(path + " <Ä> &\u2028")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(start) + *n)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path, n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), path+" "+v.Type().Field(i).Name, n)
		}
	case reflect.Slice:
		switch {
		case v.Type() == reflect.TypeFor[json.RawMessage]():
			v.SetBytes(fmt.Appendf(nil, `{"z":"<%s>&","a":[1.50,12345678901234567890,null,{}],"n":%d}`, path, *n))
		case v.Type().Elem().Kind() == reflect.Uint8:
			v.SetBytes(append([]byte{0, 255, '"'}, path...))
		default:
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
			for i := range v.Len() {
				fill(v.Index(i), fmt.Sprint(path, " ", i), n)
			}
		}
	default:
		panic(fmt.Sprintf("storetest cannot fill a %s yet", v.Type()))
	}
}
