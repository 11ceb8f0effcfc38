// Sql-aggregate puts the rows of all data providers of a request together. It waits for as many messages as there
// are providers; in a chain that is no third party's it hands on the one message as it is.
package main

import (
	"os"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/chain"
)

func main() {
	os.Exit(chain.Main("sql-aggregate", func(place chain.Place) chain.Service {
		return chain.Service{Handle: aggregate, Messages: place.Providers}
	}))
}
