package storetest

import (
	"testing"

	"postern/store"
)

func testDeliveries(t *testing.T, s store.Store) {
	for _, d := range []store.Delivery{
		{ID: "a", Webhook: "h1", Status: store.DeliveryWaiting, DueAt: 300},
		{ID: "b", Webhook: "h2", Status: store.DeliveryWaiting, DueAt: 100},
		{ID: "c", Webhook: "h1", Status: store.DeliveryDone, DueAt: 50},
		{ID: "d", Mail: "usr", Status: store.DeliveryWaiting, DueAt: 200},
		{ID: "e", Webhook: "h1", Status: store.DeliveryFailed},
	} {
		commit(t, s, store.Insert(&d))
	}
	for _, tt := range []struct {
		name string
		q    store.DeliveryQuery
		want []string
	}{
		{"all", store.DeliveryQuery{}, []string{"a", "b", "c", "d", "e"}},
		{"of a webhook", store.DeliveryQuery{Webhook: "h1"}, []string{"a", "c", "e"}},
		{"a page of it", store.DeliveryQuery{Webhook: "h1", After: "a", Limit: 1}, []string{"c"}},
		{"of people", store.DeliveryQuery{Mail: true}, []string{"d"}},
		{"due and of people", store.DeliveryQuery{Mail: true, DueBy: 1000}, []string{"d"}},
		{"the newest", store.DeliveryQuery{Newest: true, Limit: 2}, []string{"e", "d"}},
		{"the newest of a webhook, a page of it", store.DeliveryQuery{Webhook: "h1", Newest: true, After: "e"}, []string{"c", "a"}},
		{"failed", store.DeliveryQuery{Status: store.DeliveryFailed}, []string{"e"}},
		{"due", store.DeliveryQuery{DueBy: 200}, []string{"b", "d"}},
		{"due, the most overdue one", store.DeliveryQuery{DueBy: 1000, Limit: 1}, []string{"b"}},
		{"due and done is none", store.DeliveryQuery{DueBy: 1000, Status: store.DeliveryDone}, []string{}},
	} {
		got, err := s.Deliveries(t.Context(), tt.q)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		same(t, tt.name, tt.want, keys(got))
	}
}
