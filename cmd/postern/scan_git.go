package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"postern/server/leak"
)

// git is a call of the git executable in a repository that nobody needs to
// trust: no program named by its configuration is run, and nothing is fetched.
func git(ctx context.Context, dir string, args ...string) *exec.Cmd {
	all := []string{"-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never", "-c", "core.quotePath=false", "-c", "log.showRoot=true", "-c", "log.showSignature=false"}
	if dir != "" {
		all = append(all, "-C", dir)
	}
	c := exec.CommandContext(ctx, "git", append(all, args...)...) //nolint:gosec // a fixed program; the arguments are ours
	c.Env = append(os.Environ(), "GIT_NO_LAZY_FETCH=1", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_REPLACE_OBJECTS=1")
	if dir != "" { // what a hook says of its own repository is not about this one
		c.Env = slices.DeleteFunc(c.Env, func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains([]string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX"}, name)
		})
	}
	return c
}

// run runs git and hands out what it writes while it does.
func runGit(c *exec.Cmd, read func(*bufio.Reader) error) error {
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return errors.New("there is no git on this machine; --git=false scans files only")
		}
		return err
	}
	failed := read(bufio.NewReaderSize(out, 1<<20))
	if failed != nil {
		_ = c.Process.Kill() // it would wait for a reader
	}
	err = c.Wait()
	switch {
	case failed != nil && !errors.Is(failed, io.ErrUnexpectedEOF):
		return failed
	case err != nil && said.Len() > 0:
		return fmt.Errorf("git: %s", strings.TrimSpace(said.String()))
	case err != nil:
		return fmt.Errorf("git: %w", err)
	}
	return failed
}

// history scans every object of a repository, those that no branch reaches any
// more included, and then finds out which commits have what was found.
func (s *scanner) history(ctx context.Context, dir string) error {
	s.objects, s.messages = map[string][]leak.Found{}, map[string]bool{}
	all := git(ctx, dir, "cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch")
	err := runGit(all, func(r *bufio.Reader) error { return s.readObjects(r, func(string) string { return "" }) })
	if err != nil || len(s.objects) == 0 {
		return err
	}
	return s.name(ctx, dir)
}

// readObjects reads what git cat-file --batch writes. An object that has a name
// is told under it, all others are kept by their ids.
func (s *scanner) readObjects(r *bufio.Reader, name func(id string) string) error {
	for {
		head, err := r.ReadString('\n')
		if err == io.EOF && head == "" { //nolint:errorlint // bufio returns it as it is
			return nil
		}
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		parts := strings.Fields(head)
		if len(parts) != 3 {
			if len(parts) == 2 && parts[1] == "missing" {
				continue
			}
			return fmt.Errorf("git cat-file says %q", printable(strings.TrimSpace(head)))
		}
		size, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil {
			return fmt.Errorf("git cat-file says %q", printable(strings.TrimSpace(head)))
		}
		if err := s.object(io.LimitReader(r, size), parts[0], parts[1], name(parts[0])); err != nil {
			return err
		}
		if _, err := r.Discard(1); err != nil { // the line break after it
			return io.ErrUnexpectedEOF
		}
	}
}

func (s *scanner) object(r io.Reader, id, kind, name string) error {
	if kind == "tree" {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	if name != "" {
		return s.stream(name, r)
	}
	_, err := s.finder.Scan(&counting{r, &s.read}, func(found leak.Found) { s.objects[id] = append(s.objects[id], found) })
	if kind != "blob" && s.objects[id] != nil {
		s.messages[id] = true
	}
	s.places.Add(1)
	return err
}

// name finds the commit that first has each object with something in it, and the
// name of the file there. What is in several versions of a file is told once, at
// the first of them.
func (s *scanner) name(ctx context.Context, dir string) error {
	type place struct{ commit, file string }
	places := map[string]place{}
	commit := ""
	// Newest first, so the last word about an object is its oldest.
	history := git(ctx, dir, "log", "--all", "--reflog", "-m", "--raw", "--no-abbrev", "--no-renames", "--no-ext-diff", "--no-textconv", "--format=%H")
	err := runGit(history, func(r *bufio.Reader) error {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return nil //nolint:nilerr // how git ended says whether that was all
			}
			line = strings.TrimSuffix(line, "\n")
			head, file, isFile := strings.Cut(line, "\t")
			switch {
			case isFile && strings.HasPrefix(head, ":"):
				if f := strings.Fields(head); len(f) == 5 && s.objects[f[3]] != nil {
					places[f[3]] = place{commit, file}
				}
			case line != "":
				commit = line
			}
		}
	})
	if err != nil {
		return err
	}
	prefix := ""
	if dir != "." {
		prefix = dir + "/"
	}
	first := map[string]leakedText{}
	for id, list := range s.objects {
		at, known := places[id]
		switch {
		case s.messages[id]:
			at = place{id, "(message)"}
		case !known: // nothing reaches it
			at = place{id, "(object)"}
		}
		for _, found := range list {
			f := newLeakedText(at.commit, prefix+at.file, found)
			key := f.text + "\x00" + f.File
			if !known {
				key += id
			}
			if old, again := first[key]; again && s.older(ctx, dir, old.Commit, f.Commit) {
				continue
			}
			first[key] = f
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range first {
		s.found = append(s.found, f)
	}
	return nil
}

// older reports whether one commit comes before another in history.
func (s *scanner) older(ctx context.Context, dir, one, other string) bool {
	return one == other || git(ctx, dir, "merge-base", "--is-ancestor", one, other).Run() == nil
}

// staged scans the files that the next commit adds or changes, as they are
// staged.
func (s *scanner) staged(ctx context.Context) error {
	against := "HEAD"
	if git(ctx, "", "rev-parse", "--verify", "--quiet", "HEAD").Run() != nil {
		// The first commit: against the empty tree, whose id depends on the hash.
		out, err := git(ctx, "", "hash-object", "-t", "tree", "--stdin").Output()
		if err != nil {
			return fmt.Errorf("this is no git repository, or git cannot read it: %w", err)
		}
		against = strings.TrimSpace(string(out))
	}
	names := map[string]string{}
	var ids strings.Builder
	diff := git(ctx, "", "diff-index", "--cached", "--no-renames", "--no-ext-diff", "--no-textconv", "--diff-filter=AMT", "--no-abbrev", against)
	err := runGit(diff, func(r *bufio.Reader) error {
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return nil //nolint:nilerr // how git ended says whether that was all
			}
			head, file, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			f := strings.Fields(head)
			if len(f) == 5 && f[1] != "160000" && names[f[3]] == "" { // no submodules
				names[f[3]] = file
				ids.WriteString(f[3] + "\n")
			}
		}
	})
	if err != nil || len(names) == 0 {
		return err
	}
	contents := git(ctx, "", "cat-file", "--batch", "--buffer")
	contents.Stdin = strings.NewReader(ids.String())
	return runGit(contents, func(r *bufio.Reader) error {
		return s.readObjects(r, func(id string) string { return names[id] })
	})
}
