// Package mongotest runs real mongod nodes for tests: a replica set of any
// size on loopback, ready in a second or two, whose nodes can be killed,
// stopped, restarted and stepped down.
//
// It promises that no node outlives the process that started it, however that
// process ends, and that the data of one that was killed is removed by the next
// start. Without a mongod it fails and says how to get one; it never skips.
//
// Most tests want [URI] or [Database] and share one set. Tests that break nodes
// start their own with [Start].
package mongotest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Options configures a Set. Its zero value is a set of one node.
type Options struct {
	Nodes int // zero means one
}

// Set is a running replica set on throw-away data. Its methods are not for
// use from several goroutines at once.
type Set struct {
	URI   string // names every node and the replica set
	Nodes []*Node

	dir     string
	owner   *os.File
	starter starter
	stop    sync.Once
}

// Start runs a replica set and returns when it has a primary and every other
// node is in sync and has a vote. ctx limits the start, not the set's life,
// which ends with Stop or with this process.
func Start(ctx context.Context, o Options) (*Set, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	dir, owner, err := newFolder()
	if err != nil {
		return nil, fmt.Errorf("make a data folder for mongod: %w", err)
	}
	s := &Set{dir: dir, owner: owner, starter: newStarter()}
	if err := s.start(ctx, bin, max(o.Nodes, 1)); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start a replica set: %w", err)
	}
	return s, nil
}

func (s *Set) start(ctx context.Context, bin string, nodes int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for i := range nodes {
		n, err := newNode(ctx, s.starter, bin, fmt.Sprintf("%s/%d", s.dir, i))
		if err != nil {
			return err
		}
		s.Nodes = append(s.Nodes, n)
	}
	hosts := make([]string, nodes)
	for i, n := range s.Nodes {
		hosts[i] = n.Host()
	}
	s.URI = "mongodb://" + strings.Join(hosts, ",") + "/?replicaSet=" + replicaSet
	return form(ctx, hosts)
}

// Stop kills every node and removes the data. Once is enough.
func (s *Set) Stop() {
	s.stop.Do(func() {
		for _, n := range s.Nodes {
			n.Kill()
		}
		close(s.starter)
		// What cannot be removed now, the next start removes.
		_ = os.RemoveAll(s.dir)
		_ = s.owner.Close()
	})
}

// starter runs functions on one OS thread of its own until it is closed. The
// kernel sends a node its Pdeathsig when the thread that started it ends, not
// when the process does, so that thread has to live as long as the set.
type starter chan func()

func newStarter() starter {
	s := make(starter)
	go func() {
		runtime.LockOSThread()
		for f := range s {
			f()
		}
	}()
	return s
}

func (s starter) do(f func() error) error {
	done := make(chan error)
	s <- func() { done <- f() }
	return <-done
}

// poll calls try until it succeeds, and at the end of ctx returns its last
// error. It is for what mongod tells nobody about unless asked.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
