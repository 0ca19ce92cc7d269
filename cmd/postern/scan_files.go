package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// pool scans files, several at once.
type pool struct {
	s     *scanner
	paths chan string
	work  sync.WaitGroup
	once  sync.Once
}

func newPool(ctx context.Context, s *scanner) *pool {
	p := &pool{s: s, paths: make(chan string, 64)}
	for range runtime.GOMAXPROCS(0) {
		p.work.Go(func() {
			for path := range p.paths {
				if ctx.Err() != nil {
					continue // the rest is dropped
				}
				if err := p.file(path); err != nil {
					p.s.failed("a file", err)
				}
			}
		})
	}
	return p
}

// wait returns when every file is scanned.
func (p *pool) wait() {
	p.once.Do(func() { close(p.paths) })
	p.work.Wait()
}

func (p *pool) file(path string) error {
	f, err := os.Open(path) //nolint:gosec // whoever runs this names files of their own
	if err != nil {
		return err
	}
	defer f.Close()
	return p.s.stream(path, f)
}

// walk scans a file, or all below a folder, and returns the repositories that it
// went past. Links are not followed, and what is no file, such as a pipe, is
// left out.
func (p *pool) walk(ctx context.Context, root string) (repositories []string, err error) {
	at, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !at.IsDir() {
		p.paths <- root
		return nil, nil
	}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			if path == root {
				return err
			}
			p.s.failed("a folder", err)
			if e != nil && e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.Name() == ".git" && path != root:
			repositories = append(repositories, filepath.Dir(path))
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case e.IsDir() && isBare(path):
			repositories = append(repositories, path)
			return fs.SkipDir
		case e.Type().IsRegular():
			p.paths <- path
		}
		return nil
	})
	if errors.Is(err, context.Canceled) {
		err = nil // said at the end
	}
	return repositories, err
}

// isBare reports whether a folder is a repository without files beside it.
func isBare(path string) bool {
	for _, name := range []string{"HEAD", "objects", "refs"} {
		if _, err := os.Stat(filepath.Join(path, name)); err != nil {
			return false
		}
	}
	return true
}
