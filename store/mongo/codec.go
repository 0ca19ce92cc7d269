package mongo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"

	"go.mongodb.org/mongo-driver/v2/bson"

	"postern/store"
)

// registry says how values are written where the driver's own way does not do:
// times as dates, JSON as text that people can read, and empty bytes as none.
func registry() *bson.Registry {
	r := bson.NewRegistry()
	moment := reflect.TypeFor[store.Time]()
	r.RegisterTypeEncoder(moment, bson.ValueEncoderFunc(func(_ bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
		return w.WriteDateTime(v.Int())
	}))
	r.RegisterTypeDecoder(moment, bson.ValueDecoderFunc(func(_ bson.DecodeContext, r bson.ValueReader, v reflect.Value) error {
		ms, err := r.ReadDateTime()
		if err != nil {
			return err
		}
		v.SetInt(ms)
		return nil
	}))
	r.RegisterTypeEncoder(reflect.TypeFor[json.RawMessage](), bson.ValueEncoderFunc(
		func(_ bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
			return w.WriteString(string(v.Bytes()))
		}))
	r.RegisterTypeEncoder(reflect.TypeFor[[]byte](), bson.ValueEncoderFunc(
		func(_ bson.EncodeContext, w bson.ValueWriter, v reflect.Value) error {
			if v.Len() == 0 {
				return w.WriteNull()
			}
			return w.WriteBinary(v.Bytes())
		}))
	return r
}

// encode writes a value by a registry and by its JSON field names.
func encode(r *bson.Registry, v any) (bson.Raw, error) {
	var out bytes.Buffer
	e := bson.NewEncoder(bson.NewDocumentWriter(&out))
	e.SetRegistry(r)
	e.UseJSONStructTags()
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decode reads the record of a kind from its document.
func decode(r *bson.Registry, kind store.Kind, raw bson.Raw) (store.Record, error) {
	record, err := store.New(kind)
	if err != nil {
		return nil, err
	}
	d := bson.NewDecoder(bson.NewDocumentReader(bytes.NewReader(raw)))
	d.SetRegistry(r)
	d.UseJSONStructTags()
	if err := d.Decode(record); err != nil {
		return nil, fmt.Errorf("read a record of %s: %s", kind, err.Error())
	}
	return record, nil
}

// document is what is stored of a record: its fields, what is derived from them
// for queries, and the mark of the commit that wrote it.
func document(r *bson.Registry, record store.Record, mark string) (bson.Raw, error) {
	fields, err := encode(r, record)
	if err != nil {
		return nil, fmt.Errorf("write %s %q as BSON: %s", record.Kind(), record.Key(), err.Error())
	}
	derived, err := encode(r, append(derive(record), bson.E{Key: fieldMark, Value: mark}))
	if err != nil {
		return nil, fmt.Errorf("write what derives from %s %q as BSON: %s", record.Kind(), record.Key(), err.Error())
	}
	return join(fields, derived), nil
}

func derive(record store.Record) bson.D {
	if a, ok := record.(*store.Account); ok {
		return deriveAccount(a)
	}
	return nil
}

// join makes one document of the fields of two. A document is its length in
// four bytes, its fields, and a zero byte.
func join(a, b bson.Raw) bson.Raw {
	out := make(bson.Raw, 0, len(a)+len(b)-5)
	out = append(append(out, a[:len(a)-1]...), b[4:]...)
	binary.LittleEndian.PutUint32(out, uint32(len(out))) //nolint:gosec // far below the 16 MB that a document may have
	return out
}
