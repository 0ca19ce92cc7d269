package api

import (
	"context"

	"postern/server/admin"
)

// System is how a node is.
type System struct {
	Version       string  `json:"version" example:"1.0.0"`
	Node          string  `json:"node" doc:"Which of several nodes answered."`
	StartedAt     Time    `json:"started_at"`
	Store         string  `json:"store" enum:"sqlite,mongodb"`
	StoreLatency  float64 `json:"store_latency_ms" doc:"Of one read, just now, in milliseconds." example:"0.4"`
	StateAge      float64 `json:"state_age_s" doc:"How old the state is that it decides from, in seconds." example:"0.2"`
	Configuration string  `json:"configuration" doc:"What is in force, as YAML, with [secret] in the place of secrets."`
}

func (m *mounted) system() {
	register(m, "system.read", func(ctx context.Context, by *admin.Actor, _ *struct{}) (*struct{ Body System }, error) {
		s, err := m.Admin.System(ctx, by)
		if err != nil {
			return nil, err
		}
		return &struct{ Body System }{System{
			Version: s.Version, Node: s.Node, StartedAt: Time(s.StartedAt), Store: s.Store, Configuration: s.Config,
			StoreLatency: float64(s.Latency.Microseconds()) / 1000, StateAge: s.Age.Seconds(),
		}}, nil
	})
}
