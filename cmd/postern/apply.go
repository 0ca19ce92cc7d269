package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"postern/cmd/postern/declare"
	"postern/server/secret"
)

func (a *remote) applyCommand() *cobra.Command {
	var files []string
	var o declare.Options
	var dryRun, yes bool
	var secretsFile string
	c := a.command(command{
		use: "apply -f FILE", short: "Make the server be as files say",
		long: `Make the server be as files say: YAML documents of workspaces, APIs, roles,
teams, accounts, clients and grants. Only what a document names is changed, and
nothing is deleted without --prune. A client that is made gets a secret, a
person an invitation: they go into --secrets-file. What fails is told, the rest
goes on, and running it again does what is left.`,
		example: `  postern apply -f acme.yaml --dry-run
  postern apply -f acme/ --secrets-file secrets.ndjson
  postern export | postern apply -f - --dry-run`,
		run: func(ctx context.Context, s *session, _ []string) error {
			plan, server, err := s.plan(ctx, files, o)
			if err != nil {
				return err
			}
			if dryRun {
				return s.showPlan(plan)
			}
			if n := plan.Deletes(); n > 0 && !yes {
				if err := s.confirm(ctx, slices.Contains(files, "-"), fmt.Sprintf("%d clients are revoked and deleted for ever", n)); err != nil {
					return err
				}
			}
			return s.apply(ctx, plan, server, secretsFile)
		},
	})
	filesFlag(c, &files)
	c.Flags().BoolVar(&o.Prune, "prune", false, "delete what no document names: of the kinds and workspaces that documents are about")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	c.Flags().BoolVar(&yes, "yes", false, "delete clients without asking")
	c.Flags().StringVar(&secretsFile, "secrets-file", "", "new file for the secrets of clients that are made, a line of JSON each (0600)")
	return c
}

func filesFlag(c *cobra.Command, files *[]string) {
	c.Flags().StringArrayVarP(files, "file", "f", nil, "YAML `file`, or a folder of them; - is standard input; may be repeated")
}

// plan reads files and compares them with the server.
func (s *session) plan(ctx context.Context, files []string, o declare.Options) (*declare.Plan, declare.Server, error) {
	docs, err := s.documents(ctx, files)
	if err != nil {
		return nil, nil, faults(s.cmd, err)
	}
	if err := s.authenticate(ctx); err != nil {
		return nil, nil, err
	}
	server := s.declared()
	if o.Prune {
		if o.Self, err = s.self(ctx, server); err != nil {
			return nil, nil, err
		}
	}
	plan, err := declare.Make(ctx, server, docs, o)
	return plan, server, faults(s.cmd, err)
}

// faults tells what is wrong with files, a line each.
func faults(c *cobra.Command, err error) error {
	if _, isMany := err.(joined); !isMany { //nolint:errorlint // one that is wrapped is told by what wraps it
		return err
	}
	tell(c, err)
	return &exitError{code: exitFailed}
}

// joined is what errors.Join makes.
type joined interface {
	error
	Unwrap() []error
}

func tell(c *cobra.Command, err error) {
	many, isMany := err.(joined) //nolint:errorlint // as above
	if !isMany {
		c.PrintErrln("postern: " + printable(err.Error()))
		return
	}
	for _, each := range many.Unwrap() {
		tell(c, each)
	}
}

const mostDeclared = 256 << 20

func (s *session) documents(ctx context.Context, files []string) ([]*declare.Document, error) {
	if len(files) == 0 {
		return nil, usageError("-f is missing: which files?")
	}
	var all []*declare.Document
	var wrong []error
	for _, name := range files {
		found, err := filesIn(name)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			docs, err := readDocuments(ctx, s.cmd, name)
			all = append(all, docs...)
			wrong = append(wrong, err)
		}
	}
	return all, errors.Join(wrong...)
}

func readDocuments(ctx context.Context, c *cobra.Command, name string) ([]*declare.Document, error) {
	if name == "-" {
		text, err := interruptible(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(c.InOrStdin(), mostDeclared)) })
		if err != nil {
			return nil, err
		}
		return declare.Read("stdin", strings.NewReader(string(text)))
	}
	f, err := os.Open(name) //nolint:gosec // whoever runs this names a file of their own
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return declare.Read(name, io.LimitReader(f, mostDeclared))
}

// filesIn are the YAML files of a folder and the folders in it; a file is itself.
func filesIn(name string) ([]string, error) {
	info, err := os.Stat(name)
	if name == "-" || err == nil && !info.IsDir() {
		return []string{name}, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	err = filepath.WalkDir(name, func(path string, e fs.DirEntry, err error) error {
		hidden := path != name && strings.HasPrefix(e.Name(), ".")
		switch {
		case err != nil:
			return err
		case hidden && e.IsDir():
			return filepath.SkipDir
		case !e.IsDir() && !hidden && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)):
			found = append(found, path)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s has no .yaml, .yml or .json file", name)
	}
	return found, err
}

// HTTPStatus is the status that the server refused with.
func (r *refusal) HTTPStatus() int { return r.status }

// declared is the server for package declare. It waits where the server asks for
// patience, and says all that is wrong in one line.
func (s *session) declared() declare.Server {
	return func(ctx context.Context, r declare.Request) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		for wait := 250 * time.Millisecond; ; wait *= 2 {
			body, err := s.exchange(ctx, request{method: r.Method, path: r.Path, query: r.Query, body: r.Body, match: r.Match, once: r.Once})
			no, refused := errors.AsType[*refusal](err)
			// What the store left undone can be asked for again. What makes something
			// may be done all the same: then its key says that it is the same. By that
			// an answer with a secret that was lost on its way is asked for again, too.
			patience := refused && (no.status == http.StatusTooManyRequests || no.status == http.StatusServiceUnavailable && (r.Method != http.MethodPost || r.Once != "")) ||
				err != nil && !refused && r.Once != ""
			if !patience || wait > 5*time.Second {
				return body, inOneLine(err)
			}
			select {
			case <-ctx.Done():
				return nil, inOneLine(err)
			case <-time.After(wait):
			}
		}
	}
}

func (s *session) exchange(ctx context.Context, r request) ([]byte, error) {
	resp, err := s.open(ctx, r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s %s: the answer broke off: %w", r.method, r.path, err)
	}
	return body, nil
}

// inOneLine puts the faults of a refusal into its detail.
func inOneLine(err error) error {
	no, refused := errors.AsType[*refusal](err)
	if !refused || len(no.Errors) == 0 {
		return err
	}
	told := *no
	texts := make([]string, len(no.Errors))
	for i, f := range no.Errors {
		texts[i] = line(f)
	}
	told.Detail, told.Errors = no.Error()+": "+strings.Join(texts, "; "), nil
	return &told
}

// self finds out who asks, from the credential: what is pruned never is that.
func (s *session) self(ctx context.Context, server declare.Server) (declare.Self, error) {
	id := s.clientID
	if claims, ok := claimsOf(s.bearer); ok && id == "" {
		return declare.Self{Client: claims.Client, Account: claims.Account}, nil
	}
	if _, of, err := secret.Parse(s.bearer); err == nil && id == "" {
		id = string(of)
	}
	if id == "" {
		return declare.Self{}, errors.New("--prune must know who asks, lest it deletes that; use a context, a JWT or a secret instead of this token")
	}
	return declare.SelfOf(ctx, server, id)
}

type claims struct {
	Client  string `json:"client_id"`
	Account string `json:"sub"`
}

// claimsOf reads a JWT (RFC 9068) without checking it: it is our own.
func claimsOf(token string) (claims, bool) {
	var c claims
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, false
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	return c, err == nil && json.Unmarshal(body, &c) == nil && c.Client != "" && c.Account != ""
}

// confirm asks on a terminal; elsewhere it wants --yes.
func (s *session) confirm(ctx context.Context, stdinTaken bool, what string) error {
	in, isFile := s.cmd.InOrStdin().(*os.File)
	if !isFile || stdinTaken || !term.IsTerminal(int(in.Fd())) {
		return usageError("%s; say --yes if that is meant, --dry-run shows them", what)
	}
	s.cmd.PrintErrf("%s. Type yes to go on: ", what)
	answer, err := interruptible(ctx, func() ([]byte, error) { return bufio.NewReader(in).ReadBytes('\n') })
	if err != nil || strings.TrimSpace(string(answer)) != "yes" {
		return &exitError{exitFailed, errors.New("nothing was changed")}
	}
	return nil
}

// apply carries a plan out and shows what came of it.
func (s *session) apply(ctx context.Context, plan *declare.Plan, server declare.Server, secretsFile string) error {
	o := declare.ApplyOptions{}
	if n := plan.Secrets(); n > 0 {
		if secretsFile == "" {
			return usageError("%s made with a secret or an invitation; name a new file for these: --secrets-file FILE", plural(n, "thing is", "things are"))
		}
		f, err := os.OpenFile(secretsFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // whoever runs this names a file of their own
		if err != nil {
			return fmt.Errorf("--secrets-file: %w", err)
		}
		defer func() {
			if info, err := f.Stat(); err == nil && info.Size() == 0 {
				_ = os.Remove(secretsFile) // nothing was made
			}
			_ = f.Close() // it is on the disk
		}()
		defer func() { _ = f.Sync() }()
		lines := json.NewEncoder(f)
		o.Secrets = func(made declare.Secret) error { return lines.Encode(made) } //nolint:gosec // this file is for the secrets
	}
	bar := newProgress(s.cmd.ErrOrStderr(), len(plan.Changes), time.Now)
	o.Progress = func(c *declare.Change) {
		if c.Error != "" && c.Error != declare.ErrNotBegun.Error() {
			bar.clear()
			s.cmd.PrintErrf("postern: %s: %s\n", printable(c.Key().String()), printable(c.Error))
		}
		bar.add()
	}
	failed := plan.Apply(ctx, server, o)
	bar.clear()
	if err := s.showPlan(plan); err != nil {
		return err
	}
	if failed > 0 {
		return &exitError{exitFailed, fmt.Errorf("%d of %d changes were not made; run it again for what is left", failed, len(plan.Changes))}
	}
	return nil
}

// showPlan shows a plan, or what became of it.
func (s *session) showPlan(plan *declare.Plan) error {
	for _, n := range plan.Notes {
		s.cmd.PrintErrln("note: " + printable(n))
	}
	body, err := json.Marshal(plan)
	if err != nil {
		return err
	}
	return s.show(body, func(w *page) { writePlan(w, plan) })
}

const planWidth = 80

func writePlan(w *page, plan *declare.Plan) {
	count := map[string]int{}
	done := len(plan.Changes) > 0 && plan.Changes[0].Done != nil
	for _, c := range plan.Changes {
		sign := map[string]string{"create": "+", "update": "~", "delete": "-"}[c.Action]
		if done && !*c.Done {
			sign = "!" // it was told why
		} else {
			count[c.Action]++
		}
		w.println(cut(sign+" "+printable(c.Key().String()), cmp.Or(w.width, planWidth)))
		if c.Action == "update" {
			writeFields(w, c.Fields)
		}
	}
	format := "%d to create, %d to update, %d to delete, %d unchanged.\n"
	if done {
		format = "%d created, %d updated, %d deleted, %d unchanged.\n"
	}
	w.printf(format, count["create"], count["update"], count["delete"], plan.Unchanged)
}

// writeFields shows fields as old → new, and of lists what goes and what comes.
func writeFields(w *page, fields []declare.FieldChange) {
	for _, f := range fields {
		old, now := without(f.Old, f.New), without(f.New, f.Old)
		name := "    " + f.Field
		if len(f.Old) <= 1 && len(f.New) <= 1 {
			before, after := shown(f.Old), shown(f.New)
			if one := name + ": " + before + " → " + after; len([]rune(one)) <= planWidth {
				w.println(one)
				continue
			}
			old, now = []string{before}, []string{after}
		}
		w.println(name + ":")
		for _, l := range old {
			w.println(cut("      - "+printable(l), planWidth))
		}
		for _, l := range now {
			w.println(cut("      + "+printable(l), planWidth))
		}
	}
}

// without returns what of a list is not in another, as often as it is not.
func without(list, other []string) []string {
	rest := slices.Clone(other)
	var out []string
	for _, l := range list {
		if i := slices.Index(rest, l); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			out = append(out, l)
		}
	}
	return out
}

func shown(lines []string) string {
	if len(lines) == 0 {
		return "(none)"
	}
	return printable(lines[0])
}
