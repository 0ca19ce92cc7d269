package mongo

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"postern/store"
)

// clientRow is what lists ask of a client. Its document has the client's id, and
// "at", the time of its last success, which is no part of the client. The row is
// written in the transaction that writes the client, the time by AddUsage. Rows
// are small: what no index finds is found by a look at every one of them.
type clientRow struct {
	Status      store.ClientStatus `json:"status"`
	Workspace   store.WorkspaceID  `json:"workspace"`
	Kind        store.ClientKind   `json:"kind"`
	Search      string             `json:"search"` // the texts that it is searched by, in lower case
	Name        string             `json:"name"`   // in lower case
	Created     store.Time         `json:"created"`
	Expires     int64              `json:"expires"` // milliseconds; never is the greatest number
	Ends        []store.Time       `json:"ends"`
	Account     store.AccountID    `json:"account"`
	Responsible store.AccountID    `json:"responsible"`
	ConfirmBy   store.Time         `json:"confirm_by"`
	Slow        bool               `json:"slow"`
	Noted       bool               `json:"noted"`
}

func rowOf(c *store.Client) clientRow {
	return clientRow{
		Status: c.Status, Workspace: c.Workspace, Kind: c.ClientKind, Account: c.Account, Responsible: c.Responsible,
		Search: strings.ToLower(strings.Join([]string{c.Name, c.Description, c.ClientKey, string(c.ID)}, "\x1f")),
		Name:   strings.ToLower(c.Name), Created: c.CreatedAt, Expires: neverLast(c.ExpiresAt),
		Ends: append([]store.Time{}, c.Ends()...), ConfirmBy: c.ConfirmBy, Slow: c.SlowSecret() != nil, Noted: c.Noted(),
	}
}

func neverLast(t store.Time) int64 {
	if t == 0 {
		return math.MaxInt64
	}
	return int64(t)
}

// rowModel brings a client's row in line with the client, or with that it is gone
// (nil). The time of the last success is the id's: it stays, or is raised to at.
func rowModel(id string, c *store.Client, at store.Time) driver.WriteModel {
	model := driver.NewUpdateOneModel().SetFilter(bson.D{{Key: "_id", Value: id}}).SetUpsert(true)
	if c == nil {
		last := bson.D{{Key: "$max", Value: bson.A{"$at", at}}}
		return model.SetUpdate(driver.Pipeline{{{Key: "$replaceWith", Value: bson.D{{Key: "_id", Value: "$_id"}, {Key: "at", Value: last}}}}})
	}
	return model.SetUpdate(bson.D{{Key: "$set", Value: rowOf(c)}, {Key: "$max", Value: bson.D{{Key: "at", Value: at}}}})
}

// condition is what rows must have in a field. Where an index leads to those that
// do, index has its fields.
type condition struct {
	field string
	value any
	index []string
}

// leads reports whether an index has the rows that meet the condition in the
// order of a field.
func (c condition) leads(field string) bool {
	_, several := c.value.(bson.D)
	return !several && len(c.index) > 1 && c.index[1] == field
}

// clientConditions are those of a query.
func clientConditions(q store.ClientQuery) []condition {
	var out []condition
	is := func(field string, value any, index ...string) { out = append(out, condition{field, value, index}) }
	if q.Account != "" {
		is("account", q.Account, "account", "name", "_id")
	}
	if len(q.Responsible) > 0 {
		is("responsible", oneOf(q.Responsible), "responsible", "name", "_id")
	}
	if len(q.Workspaces) > 0 {
		is("workspace", oneOf(q.Workspaces), "workspace", "name", "_id")
	}
	if q.EndsTo != 0 {
		is("ends", bson.D{{Key: "$elemMatch", Value: bson.D{{Key: "$gte", Value: q.EndsFrom}, {Key: "$lt", Value: q.EndsTo}}}}, "ends")
	}
	if q.ConfirmBy != 0 {
		is("confirm_by", bson.D{{Key: "$gt", Value: store.Time(0)}, {Key: "$lte", Value: q.ConfirmBy}}, "confirm_by")
	}
	if q.Slow {
		is("slow", true, "slow", "name", "_id")
	}
	if q.Noted {
		is("noted", true, "noted", "name", "_id")
	}
	if q.UsedSince != 0 {
		is("at", bson.D{{Key: "$gte", Value: q.UsedSince}}, "at", "_id")
	}
	if q.Unused {
		is("at", store.Time(0), "at", "name", "_id")
	}
	switch q.Status {
	case "": // of a client that is gone, a row without a status may be left
		is("status", bson.D{{Key: "$nin", Value: bson.A{store.ClientDeleted, nil}}})
	case store.ClientExpired: // as Client.State has it
		is("status", bson.D{{Key: "$in", Value: bson.A{store.ClientActive, store.ClientPending}}})
		is("expires", bson.D{{Key: "$lte", Value: int64(q.Now)}}, "expires", "_id")
	case store.ClientActive: // most are
		is("status", q.Status)
		is("expires", bson.D{{Key: "$gt", Value: int64(q.Now)}})
	case store.ClientPending:
		is("status", q.Status, "status", "name", "_id")
		is("expires", bson.D{{Key: "$gt", Value: int64(q.Now)}})
	default:
		is("status", q.Status, "status", "name", "_id")
	}
	if q.ExpiresBy != 0 {
		is("expires", bson.D{{Key: "$lte", Value: int64(q.ExpiresBy)}}, "expires", "_id")
	}
	if q.MadeBefore != 0 {
		is("created", bson.D{{Key: "$lt", Value: q.MadeBefore}}, "created", "_id")
	}
	if q.ClientKind != "" {
		is("kind", q.ClientKind)
	}
	if q.Search != "" {
		is("search", literally(q.Search))
	}
	return out
}

// oneOf is one value, or the condition that it is one of several.
func oneOf[T any](values []T) any {
	if len(values) == 1 {
		return values[0]
	}
	return bson.D{{Key: "$in", Value: values}}
}

// all is the filter for what meets all conditions.
func all(conditions ...condition) bson.D {
	each := make(bson.A, 0, len(conditions))
	for _, c := range conditions {
		each = append(each, bson.D{{Key: c.field, Value: c.value}})
	}
	if len(each) == 0 {
		return bson.D{}
	}
	return bson.D{{Key: "$and", Value: each}}
}

// list is a query for a page.
type list struct {
	conditions []condition
	place      []condition // those of the cursor
	field      string      // the sorted one
	direction  int
	limit      int
}

func listOf(q store.ClientQuery) (list, error) {
	l := list{conditions: clientConditions(q), field: sortField(q.Sort), direction: 1, limit: pageLimit(q.Limit)}
	if q.Desc {
		l.direction = -1
	}
	if q.After != nil {
		value, err := cursorValue(q)
		if err != nil {
			return list{}, err
		}
		for _, e := range after(l.field, value, q.After.ID, q.Desc) {
			l.place = append(l.place, condition{field: e.Key, value: e.Value})
		}
	}
	return l, nil
}

func (l list) order() bson.D { return ordered(l.direction, l.field, "_id") }

// start is an index that has the list in its order, and the conditions that bound
// the walk there.
func (l list) start() (index bson.D, bounds []condition) {
	bounds = slices.Clone(l.place)
	for _, c := range l.conditions {
		if c.leads(l.field) {
			return ordered(1, c.index...), append(bounds, c)
		}
	}
	for _, c := range l.conditions {
		if c.field == l.field {
			bounds = append(bounds, c)
		}
	}
	return ordered(1, l.field, "_id"), bounds
}

func pageLimit(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return limit
}

// sortField is the field of a row that is sorted by.
func sortField(sort store.ClientSort) string {
	switch sort {
	case store.SortCreated:
		return "created"
	case store.SortExpires:
		return "expires"
	case store.SortLastUse:
		return "at"
	default:
		return "name"
	}
}

// cursorValue is what a cursor's value is in the sorted field.
func cursorValue(q store.ClientQuery) (any, error) {
	switch q.Sort {
	case store.SortCreated, store.SortExpires, store.SortLastUse:
		ms, err := strconv.ParseInt(q.After.Value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read the cursor of a list by %s: %w", q.Sort, err)
		}
		if q.Sort == store.SortExpires {
			return neverLast(store.Time(ms)), nil
		}
		return store.Time(ms), nil
	default:
		return strings.ToLower(q.After.Value), nil
	}
}
