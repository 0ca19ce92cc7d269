package mongo_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"postern/store"
	"postern/store/mongo"
	"postern/store/mongo/mongotest"
)

func TestServersThatCannotDoIt(t *testing.T) {
	w := wrap(t)
	w.write(t, "none", "")
	set := startSet(t, 1)
	for _, tt := range []struct {
		name, drop, add, want string
	}{
		{"a standalone server", "--replSet", "", "`--replSet rs0`"},
		{"a server that is not initiated", "--dbpath", "--dbpath '" + t.TempDir() + "'", "rs.initiate()"},
	} {
		set.Nodes[0].Kill()
		w.write(t, tt.drop, tt.add)
		if err := set.Nodes[0].Restart(t.Context()); err != nil {
			t.Fatalf("restart as %s: %v", tt.name, err)
		}
		for how, uri := range map[string]string{"by its name alone": alone(set), "by the name of a set": set.URI} {
			t.Run(tt.name+", "+how, func(t *testing.T) {
				s, err := mongo.Open(t.Context(), mongo.Options{URI: uri, Database: "postern"})
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("open: got %v, %v; want an error that says %s", s, err, tt.want)
				}
			})
		}
	}
}

func TestNoServer(t *testing.T) {
	_, err := mongo.Open(t.Context(), mongo.Options{URI: "mongodb://127.0.0.1:1", Database: "postern"})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("open without a server: got error %v, want ErrUnavailable", err)
	}
}

func TestSchemaVersions(t *testing.T) {
	uri, name := mongotest.Database(t)
	o := mongo.Options{URI: uri, Database: name}
	s := connect(t, o)
	if err := s.Commit(t.Context(), store.Insert(&store.Team{ID: "t", Name: "t"})); err != nil {
		t.Fatalf("commit: %v", err)
	}
	set := func(version int) {
		command(t, direct(t, uri).Database(name), bson.D{{Key: "update", Value: "meta"}, {Key: "updates", Value: bson.A{bson.D{
			{Key: "q", Value: bson.D{{Key: "_id", Value: "schema"}}},
			{Key: "u", Value: bson.D{{Key: "$set", Value: bson.D{{Key: "version", Value: version}}}}},
		}}}})
	}
	t.Run("an older one is migrated and keeps its data", func(t *testing.T) {
		set(0)
		again := connect(t, o)
		err := again.Commit(t.Context(), store.Insert(&store.Team{ID: "t", Name: "t"}))
		if !errors.Is(err, store.ErrExists) {
			t.Errorf("insert of what was there before: got error %v, want ErrExists", err)
		}
	})
	t.Run("a newer one is refused", func(t *testing.T) {
		set(1000)
		if _, err := mongo.Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "schema version 1000") {
			t.Errorf("open: got error %v, want one that names the version", err)
		}
	})
	t.Run("several nodes at once make one schema", func(t *testing.T) {
		uri, name := mongotest.Database(t)
		errs := make(chan error)
		for range 4 {
			go func() {
				s, err := mongo.Open(t.Context(), mongo.Options{URI: uri, Database: name})
				if err == nil {
					err = s.Close()
				}
				errs <- err
			}()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Errorf("open beside others: %v", err)
			}
		}
	})
}

// The secret is told by no error, however the string is malformed.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "hunter2"
	uri := mongotest.URI(t)
	_, hosts, _ := strings.Cut(uri, "://")
	for name, uri := range map[string]string{
		"wrong password":           "mongodb://user:hunter2@" + hosts,
		"wrong password, encoded":  "mongodb://user:%68unter2@" + hosts,
		"no scheme":                "user:hunter2@" + hosts,
		"another scheme":           "postgres://user:hunter2@" + hosts,
		"no @":                     "mongodb://user:hunter2/postern",
		"no host":                  "mongodb://user:hunter2@",
		"a bad escape":             "mongodb://user:hunter2%zz@" + hosts,
		"an unescaped @":           "mongodb://user:hunter2@x@" + hosts,
		"an unescaped @ before":    "mongodb://user:x@hunter2@" + hosts,
		"an unescaped /":           "mongodb://user:x/hunter2@" + hosts,
		"an unescaped ?":           "mongodb://user:x?hunter2=1@" + hosts,
		"an unescaped :":           "mongodb://user:x:hunter2@" + hosts,
		"an unescaped # and no @":  "mongodb://user:x#hunter2",
		"a port that is none":      "mongodb://host:hunter2/",
		"an option without value":  "mongodb://host/?hunter2",
		"an unknown option":        "mongodb://host/?password=hunter2&w=%zz",
		"an option's bad value":    "mongodb://host/?authMechanismProperties=hunter2",
		"an option's bad escape":   "mongodb://host/?tlsCertificateKeyFilePassword=hunter2%zz",
		"a key with a bad escape":  "mongodb://host/?%zzhunter2=1",
		"a session token":          "mongodb://a:hunter2@host/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:hunter2,X",
		"a database with a secret": "mongodb://host/hunter2:x@y?w=majority&foo",
		"an empty string":          "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := mongo.Open(t.Context(), mongo.Options{URI: uri, Database: "postern"})
			if err == nil {
				t.Fatal("open: got no error")
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, secret) {
					t.Errorf("the error tells the secret: %s", text)
				}
			}
		})
	}
}
