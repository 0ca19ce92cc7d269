// Package status keeps what gateways that never ask must know: which access
// tokens are revoked. It is a room: server/oauth serves what is made here.
//
// A token of an API with StatusList names a place in a token status list
// (draft-ietf-oauth-status-list), one for each secret at its generations. Its
// bit is made of the state that a verifier looks at, in memory, as changes come
// in: nothing is written when an account is deactivated, whoever's tokens are
// dead by it. Tokens that were revoked one by one, and keys that were revoked,
// are told by their ids.
//
// Every change has a number, so that who follows hears of each: see Messages.
package status

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"postern/server/keys"
	"postern/server/token"
	"postern/store"
)

// Store is what Lists read and write. What they read must be what is stored now,
// and not what this node remembers.
type Store interface {
	Client(ctx context.Context, id store.ClientID) (*store.Client, error)
	Account(ctx context.Context, id store.AccountID) (*store.Account, error)
	Get(ctx context.Context, kind store.Kind, key string) (store.Record, error)
	// Commit returns when the change came back by Apply.
	Commit(ctx context.Context, writes ...store.Write) error
}

// Options configures Lists. Store, Keys and Issuer are required.
type Options struct {
	Store  Store
	Keys   *keys.Ring
	Issuer string
	// LongestTTL is the longest life that a token may have. Nil means 1 h.
	LongestTTL func() time.Duration
	Now        func() time.Time // nil means time.Now
	Log        *slog.Logger     // nil means no log
}

// Lists are all status lists of an installation and its revoked tokens, as one
// node sees them. They learn of changes by Load, Apply and Follow.
type Lists struct {
	Options

	mu           sync.RWMutex
	installation *store.Installation
	workspaces   map[store.WorkspaceID]*store.Workspace
	clients      map[store.ClientID]*store.Client // of indexes; only what decides of a token
	accounts     map[store.AccountID]*store.Account
	indexes      map[string]*index           // by id
	places       map[int64]*index            // by place
	of           map[any]map[*index]struct{} // by store.ClientID, store.AccountID and store.WorkspaceID
	lists        []*list                     // list n is at n-1
	revoked      map[string]*store.Revocation
	revokedKeys  map[store.KeyID]string // their kids
	unread       map[any]time.Time      // clients and accounts to read, since when
	settled      bool                   // all was read once
	nextEnd      store.Time             // when the next client or secret expires; 0 is never
	log          events

	wake chan struct{} // holds one: there is something to read
}

// size is how many places a list has. They are given at random, and a new list is
// begun when half of one is taken: a place says nothing of how many there are, or
// which was first.
const size = 1 << 17

// index is a place and whether its tokens are good.
type index struct {
	record  *store.StatusIndex
	invalid bool
}

func (i *index) list() int64 { return i.record.Place/size + 1 }

func (i *index) bit() int64 { return i.record.Place % size }

// list is one status list.
type list struct {
	bits    [size / 8]byte // the first is the lowest of a byte
	taken   int
	version int64
	signed  document
}

func (l *list) set(bit int64, invalid bool) {
	l.version++
	if invalid {
		l.bits[bit/8] |= 1 << (bit % 8)
	} else {
		l.bits[bit/8] &^= 1 << (bit % 8)
	}
}

// New returns Lists that know nothing yet.
func New(o Options) *Lists {
	if o.LongestTTL == nil {
		o.LongestTTL = func() time.Duration { return time.Hour }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Lists{
		Options: o, clients: map[store.ClientID]*store.Client{}, accounts: map[store.AccountID]*store.Account{},
		unread: map[any]time.Time{}, wake: make(chan struct{}, 1),
	}
	l.clear()
	return l
}

// clear forgets all but what is known of clients and accounts.
func (l *Lists) clear() {
	l.installation = nil
	l.workspaces = map[store.WorkspaceID]*store.Workspace{}
	l.indexes, l.places, l.of, l.lists = map[string]*index{}, map[int64]*index{}, map[any]map[*index]struct{}{}, nil
	l.revoked, l.revokedKeys = map[string]*store.Revocation{}, map[store.KeyID]string{}
	l.log.begin(rand.Text())
}

func (l *Lists) now() store.Time { return store.At(l.Now()) }

// Load implements cached.Subscriber. Who followed begins anew; clients and
// accounts are read again, since changes may have been lost.
func (l *Lists) Load(records []store.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	clear(l.unread)
	for _, r := range records {
		l.apply(store.Change{Kind: r.Kind(), Key: r.Key(), Record: r})
	}
	for id := range l.of {
		if _, is := id.(store.WorkspaceID); !is {
			l.queue(id)
		}
	}
	for id := range l.clients {
		if l.of[id] == nil {
			delete(l.clients, id)
		}
	}
	for id := range l.accounts {
		if l.of[id] == nil {
			delete(l.accounts, id)
		}
	}
	l.judgeAll()
	l.settled = l.settled || len(l.unread) == 0
	return nil
}

// Apply implements cached.Subscriber.
func (l *Lists) Apply(c store.Change) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apply(c)
	return nil
}

// Follow implements cached.Follower.
func (l *Lists) Follow(c store.Change) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch c.Kind {
	case store.KindClient:
		r, _ := c.Record.(*store.Client)
		l.learnClient(store.ClientID(c.Key), r)
	case store.KindAccount:
		r, _ := c.Record.(*store.Account)
		l.learnAccount(store.AccountID(c.Key), r)
	default:
	}
}

func (l *Lists) apply(c store.Change) {
	switch c.Kind {
	case store.KindInstallation:
		l.installation, _ = c.Record.(*store.Installation)
		l.judgeAll()
	case store.KindWorkspace:
		delete(l.workspaces, store.WorkspaceID(c.Key))
		if w, ok := c.Record.(*store.Workspace); ok {
			l.workspaces[w.ID] = w
		}
		l.judgeOf(store.WorkspaceID(c.Key))
	case store.KindRevocation:
		delete(l.revoked, c.Key)
		if r, ok := c.Record.(*store.Revocation); ok {
			l.revoked[c.Key] = r
			l.log.add(event{token: r})
		}
	case store.KindKey:
		l.applyKey(c)
	case store.KindStatusIndex:
		l.applyIndex(c)
	default:
	}
}

func (l *Lists) applyKey(c store.Change) {
	k, _ := c.Record.(*store.Key)
	_, known := l.revokedKeys[store.KeyID(c.Key)]
	switch {
	case k == nil:
		delete(l.revokedKeys, store.KeyID(c.Key)) // its tokens ended long ago
	case k.RevokedAt != 0 && !known:
		l.revokedKeys[k.ID] = keys.KID(k)
		l.log.add(event{key: keys.KID(k)})
	}
}

func (l *Lists) applyIndex(c store.Change) {
	r, _ := c.Record.(*store.StatusIndex)
	old := l.indexes[c.Key]
	switch {
	case r == nil && old == nil, r != nil && old != nil && old.record.Revision >= r.Revision:
	case r == nil || r.Place < 0 || r.Place/size >= maxLists:
		if old != nil {
			l.dropIndex(old)
		}
	case old != nil:
		old.record = r // a place is for ever: only its end changes
	default:
		i := &index{record: r}
		l.indexes[r.ID], l.places[r.Place] = i, i
		for int64(len(l.lists)) < i.list() {
			l.lists = append(l.lists, &list{})
		}
		l.lists[i.list()-1].taken++
		for _, id := range i.holders() {
			if l.of[id] == nil {
				l.of[id] = map[*index]struct{}{}
			}
			l.of[id][i] = struct{}{}
			l.mustRead(id)
		}
		l.judge(i)
	}
}

// maxLists bounds what a record that nobody could have written may cost: 2 MiB of
// bits for half a million secrets a time.
const maxLists = 1 << 10

// holders are what the index's tokens die with.
func (i *index) holders() []any {
	ids := []any{i.record.Client, i.record.Account}
	if i.record.Workspace != "" {
		ids = append(ids, i.record.Workspace)
	}
	return ids
}

// dropIndex forgets an index whose tokens have all ended.
func (l *Lists) dropIndex(i *index) {
	delete(l.indexes, i.record.ID)
	delete(l.places, i.record.Place)
	l.lists[i.list()-1].taken--
	for _, id := range i.holders() {
		delete(l.of[id], i)
		if len(l.of[id]) > 0 {
			continue
		}
		delete(l.of, id)
		delete(l.unread, id)
		switch id := id.(type) {
		case store.ClientID:
			delete(l.clients, id)
		case store.AccountID:
			delete(l.accounts, id)
		}
	}
	l.mark(i, false)
}

// mustRead has a client or account read that is not known yet: its index may have
// come after the change that ended its tokens. Of one that is known, every change
// came here.
func (l *Lists) mustRead(id any) {
	known := true // as workspaces are
	switch id := id.(type) {
	case store.ClientID:
		known = l.clients[id] != nil
	case store.AccountID:
		known = l.accounts[id] != nil
	}
	if !known {
		l.queue(id)
	}
}

func (l *Lists) queue(id any) {
	if _, queued := l.unread[id]; !queued {
		l.unread[id] = l.Now()
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// learnClient takes in a client that is newer than what is known; nil is one that
// is not there.
func (l *Lists) learnClient(id store.ClientID, c *store.Client) {
	if l.of[id] == nil {
		return // no token of it has a place
	}
	delete(l.unread, id)
	if known := l.clients[id]; c != nil && known != nil && known.Revision >= c.Revision {
		return
	}
	if c == nil {
		c = &store.Client{Status: store.ClientDeleted, Revision: math.MaxInt64}
	}
	// What decides of a token, and no more of it.
	kept := &store.Client{Revision: c.Revision, Generation: c.Generation, Status: c.Status, ExpiresAt: c.ExpiresAt, Secrets: make([]store.ClientSecret, len(c.Secrets))}
	for i, s := range c.Secrets {
		kept.Secrets[i] = store.ClientSecret{ID: s.ID, Generation: s.Generation, ExpiresAt: s.ExpiresAt, RevokedAt: s.RevokedAt}
	}
	l.clients[id] = kept
	l.judgeOf(id)
}

// learnAccount is learnClient for an account.
func (l *Lists) learnAccount(id store.AccountID, a *store.Account) {
	if l.of[id] == nil {
		return
	}
	delete(l.unread, id)
	if known := l.accounts[id]; a != nil && known != nil && known.Revision >= a.Revision {
		return
	}
	if a == nil {
		a = &store.Account{Status: store.AccountDeleted, Revision: math.MaxInt64}
	}
	l.accounts[id] = &store.Account{Revision: a.Revision, Generation: a.Generation, Status: a.Status}
	l.judgeOf(id)
}

func (l *Lists) judgeOf(id any) {
	for i := range l.of[id] {
		l.judge(i)
	}
}

func (l *Lists) judgeAll() {
	l.nextEnd = 0
	for _, i := range l.indexes {
		l.judge(i)
	}
}

// judge says anew whether the tokens of an index are good, as token.Verifier does.
// While its client or account is not known yet it stays what it was.
func (l *Lists) judge(i *index) {
	c, a := l.clients[i.record.Client], l.accounts[i.record.Account]
	if c == nil || a == nil || l.installation == nil {
		return
	}
	l.mark(i, !l.good(i.record, c, a))
}

func (l *Lists) good(r *store.StatusIndex, c *store.Client, a *store.Account) bool {
	now := l.now()
	s := c.Secret(r.Secret)
	if s == nil || !s.Live(now) || c.State(now) != store.ClientActive || a.Status != store.AccountActive {
		return false
	}
	l.nextEnd = l.nextEnd.Sooner(c.ExpiresAt).Sooner(s.ExpiresAt)
	var ws *store.Workspace
	if r.Workspace != "" {
		if ws = l.workspaces[r.Workspace]; ws == nil || !ws.APIAccess {
			return false
		}
	}
	return r.Gen == token.Gen(l.installation, ws, a, c, s)
}

func (l *Lists) mark(i *index, invalid bool) {
	if i.invalid == invalid {
		return
	}
	i.invalid = invalid
	l.lists[i.list()-1].set(i.bit(), invalid)
	l.log.add(event{list: i.list(), bit: i.bit(), invalid: invalid})
}

// Age is for how long what is said here may have missed a change that this node
// has seen: a client whose index is new is being read. It is the longest Duration
// before all was read once.
func (l *Lists) Age() time.Duration {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if !l.settled {
		return math.MaxInt64
	}
	now, age := l.Now(), time.Duration(0)
	for _, since := range l.unread {
		age = max(age, now.Sub(since))
	}
	return age
}

// URI is the address of a list.
func (l *Lists) URI(n int64) string { return fmt.Sprintf("%s/oauth2/statuslists/%d", l.Issuer, n) }

// URIs are the addresses of all lists (section 9.3 of the draft).
func (l *Lists) URIs() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	uris := make([]string, len(l.lists))
	for i := range uris {
		uris[i] = l.URI(int64(i) + 1)
	}
	return uris
}

var errNoPlace = errors.New("no place in a status list was free")
