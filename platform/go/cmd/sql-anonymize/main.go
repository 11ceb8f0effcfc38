// Sql-anonymize makes dates of birth and of appointment coarser before a data provider's rows leave it: only the
// year stays.
package main

import (
	"context"
	"os"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/chain"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

func main() {
	os.Exit(chain.Main("sql-anonymize", func(chain.Place) chain.Service {
		return chain.Service{Handle: chain.SQL(func(_ context.Context, message *pb.MicroserviceCommunication, _ *pb.SqlDataRequest) error {
			anonymize(message.GetData())
			return nil
		})}
	}))
}
