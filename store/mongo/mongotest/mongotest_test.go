package mongotest_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"postern/store/mongo/mongotest"
)

// ownerEnv makes the test binary start a node, print its address and wait
// to be killed, instead of testing.
const ownerEnv = "MONGOTEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerEnv) == "" {
		os.Exit(m.Run())
	}
	set, err := mongotest.Start(context.Background(), mongotest.Options{})
	if err != nil {
		panic(err)
	}
	println(set.Nodes[0].Host()) // to stderr, at once
	select {}
}

func collection(t *testing.T, uri, name string) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(uri).SetWriteConcern(writeconcern.Majority()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return client.Database(name).Collection("things")
}

// write inserts a document with a majority, however often the driver has to
// be asked: it tries twice, and a killed node can fail both.
func write(t *testing.T, c *mongo.Collection, id int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		_, err := c.InsertOne(ctx, bson.M{"_id": id})
		if err == nil || mongo.IsDuplicateKeyError(err) { // an attempt that failed may have arrived
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("majority write %d: %v", id, err)
		}
	}
}

func TestDatabaseIsTheTestsOwnAndDroppedAfterIt(t *testing.T) {
	uri := mongotest.URI(t)
	var names []string
	for range 2 {
		t.Run("with / odd. characters and a name that is far longer than MongoDB allows for a database", func(t *testing.T) {
			got, name := mongotest.Database(t)
			if got != uri {
				t.Errorf("URI of the database: got %s, want the shared %s", got, uri)
			}
			write(t, collection(t, got, name), 1)
			names = append(names, name)
		})
	}
	if names[0] == names[1] {
		t.Errorf("two tests share the database %s", names[0])
	}
	all, err := collection(t, uri, "admin").Database().Client().ListDatabaseNames(t.Context(), bson.M{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		if name == names[0] || name == names[1] {
			t.Errorf("database %s is still there", name)
		}
	}
}

func TestSetSurvivesWhatItsNodesAreDoneTo(t *testing.T) {
	set, err := mongotest.Start(t.Context(), mongotest.Options{Nodes: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		set.Stop()
		for _, n := range set.Nodes {
			if err := syscall.Kill(n.PID(), 0); !errors.Is(err, syscall.ESRCH) {
				t.Errorf("node on port %d after Stop: got %v, want ESRCH", n.Port, err)
			}
		}
	})
	things := collection(t, set.URI, "mongotest")
	primary := func() *mongotest.Node {
		t.Helper()
		n, err := set.Primary(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	write(t, things, 1)

	killed := primary()
	killed.Kill()
	write(t, things, 2)
	if now := primary(); now == killed {
		t.Errorf("the killed node on port %d is still primary", now.Port)
	}
	if err := killed.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := killed.Restart(t.Context()); err == nil {
		t.Error("restart of a running node: got no error")
	}

	if err := set.StepDown(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, things, 3)

	stopped := set.Nodes[0]
	if stopped == primary() {
		stopped = set.Nodes[1]
	}
	if err := stopped.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	write(t, things, 4)
	if err := stopped.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if n, err := things.CountDocuments(t.Context(), bson.M{}); err != nil || n != 4 {
		t.Errorf("documents: got %d, %v; want 4", n, err)
	}
}

func TestNodesDieWithTheProcessThatStartedThem(t *testing.T) {
	tmp := t.TempDir()
	owner := exec.CommandContext(t.Context(), os.Args[0])
	owner.Env = append(os.Environ(), ownerEnv+"=1", "TMPDIR="+tmp)
	out, err := owner.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	// The connection ends when its node does, which is not our child.
	var dial net.Dialer
	node, err := dial.DialContext(t.Context(), "tcp", strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // it was killed
	if err := node.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the node outlived its owner")
	}

	folders := func() []string {
		all, err := filepath.Glob(tmp + "/*/set-*")
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if n := len(folders()); n != 1 {
		t.Errorf("data folders of a killed owner: got %d, want 1", n)
	}
	t.Setenv("TMPDIR", tmp)
	set, err := mongotest.Start(t.Context(), mongotest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	set.Stop()
	if left := folders(); len(left) != 0 {
		t.Errorf("data folders after the next start: %v", left)
	}
}

func TestWithoutMongodTheErrorSaysHowToGetOne(t *testing.T) {
	t.Setenv("MONGOD", "")
	t.Setenv("PATH", "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	_, err := mongotest.Start(t.Context(), mongotest.Options{})
	if err == nil || !strings.Contains(err.Error(), "make tools") {
		t.Errorf("got %v, want an error that names make tools", err)
	}
}

func TestVersionIsTheOneThatIsFetched(t *testing.T) {
	lock, err := os.ReadFile("../../../.ci/tools.lock")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lock)) {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "mongod" {
			if f[2] != mongotest.Version {
				t.Errorf("Version is %s, .ci/tools.lock has %s", mongotest.Version, f[2])
			}
			return
		}
	}
	t.Error(".ci/tools.lock has no mongod")
}
