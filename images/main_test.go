package images

import (
	"testing"

	"github.com/containerd/log"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	log.SetLevel("error") //nolint:errcheck // containerd warns of what a test's folder can't do
	goleak.VerifyTestMain(m)
}
