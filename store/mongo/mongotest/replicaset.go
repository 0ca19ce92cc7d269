package mongotest

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const replicaSet = "postern"

// form makes the nodes one replica set. It begins with the first alone, which
// is primary at once, and adds the others one by one: initiated together they
// would first hold an election, which takes six times as long.
func form(ctx context.Context, hosts []string) error {
	return onAdmin(ctx, "mongodb://"+hosts[0]+"/?directConnection=true", func(admin *mongo.Database) error {
		config := bson.M{
			"_id":     replicaSet,
			"members": bson.A{bson.M{"_id": 0, "host": hosts[0]}},
			"settings": bson.M{
				"electionTimeoutMillis":   1000,
				"heartbeatIntervalMillis": 100,
				"catchUpTimeoutMillis":    0,
			},
		}
		if err := admin.RunCommand(ctx, bson.D{{Key: "replSetInitiate", Value: config}}).Err(); err != nil {
			return fmt.Errorf("initiate: %w", err)
		}
		for i, host := range hosts[1:] {
			// Refused while the change before it is not yet known to a majority.
			if err := poll(ctx, func() error { return add(ctx, admin, i+1, host) }); err != nil {
				return fmt.Errorf("add %s: %w", host, err)
			}
		}
		if err := poll(ctx, func() error { return settled(ctx, admin, len(hosts)) }); err != nil {
			return fmt.Errorf("wait for all nodes: %w", err)
		}
		return nil
	})
}

func add(ctx context.Context, admin *mongo.Database, id int, host string) error {
	var got struct {
		Config bson.M `bson:"config"`
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "replSetGetConfig", Value: 1}}).Decode(&got); err != nil {
		return err
	}
	version, _ := got.Config["version"].(int32)
	members, _ := got.Config["members"].(bson.A)
	got.Config["version"] = version + 1
	got.Config["members"] = append(members, bson.M{"_id": id, "host": host})
	return admin.RunCommand(ctx, bson.D{{Key: "replSetReconfig", Value: got.Config}}).Err()
}

// settled returns nil when one node is primary, all others are in sync, and
// all vote: a node that was added gets its vote only after its first sync.
func settled(ctx context.Context, admin *mongo.Database, nodes int) error {
	var status struct {
		Voting  int `bson:"votingMembersCount"`
		Members []struct {
			State string `bson:"stateStr"`
		} `bson:"members"`
	}
	if err := admin.RunCommand(ctx, bson.D{{Key: "replSetGetStatus", Value: 1}}).Decode(&status); err != nil {
		return err
	}
	count := map[string]int{}
	for _, m := range status.Members {
		count[m.State]++
	}
	if count["PRIMARY"] != 1 || count["SECONDARY"] != nodes-1 || status.Voting != nodes {
		return fmt.Errorf("states %v, %d of %d vote", count, status.Voting, nodes)
	}
	return nil
}

// Primary returns the node that is primary, and waits for one.
func (s *Set) Primary(ctx context.Context) (*Node, error) {
	var hello struct {
		Me string `bson:"me"`
	}
	err := onAdmin(ctx, s.URI, func(admin *mongo.Database) error {
		return admin.RunCommand(ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
	})
	if err != nil {
		return nil, fmt.Errorf("ask for the primary: %w", err)
	}
	for _, n := range s.Nodes {
		if n.Host() == hello.Me {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the primary is %s, which is not of this set", hello.Me)
}

// StepDown makes the primary step down for ten seconds. It returns before the
// others have elected a new one.
func (s *Set) StepDown(ctx context.Context) error {
	err := onAdmin(ctx, s.URI, func(admin *mongo.Database) error {
		return admin.RunCommand(ctx, bson.D{
			{Key: "replSetStepDown", Value: 10},
			{Key: "secondaryCatchUpPeriodSecs", Value: 5},
		}).Err()
	})
	if err != nil {
		return fmt.Errorf("step down: %w", err)
	}
	return nil
}

// onAdmin calls use with the admin database of a client that lives as long.
func onAdmin(ctx context.Context, uri string, use func(*mongo.Database) error) error {
	client, err := mongo.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		return err
	}
	return errors.Join(use(client.Database("admin")), client.Disconnect(context.WithoutCancel(ctx)))
}
