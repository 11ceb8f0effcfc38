// Sql-algorithm computes the answer of an SQL data request from the rows that the services before it selected. See
// [compute] for what it can.
package main

import (
	"context"
	"os"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/chain"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

func main() {
	os.Exit(chain.Main("sql-algorithm", func(place chain.Place) chain.Service {
		return chain.Service{Handle: chain.SQL(func(_ context.Context, message *pb.MicroserviceCommunication, request *pb.SqlDataRequest) error {
			var err error
			if message.Result, err = compute(request, message.GetData()); err != nil {
				return err
			}
			if place.Last {
				// The answer is what leaves; the rows it was computed from stay.
				message.Data = nil
			}
			return nil
		})}
	}))
}
