package images

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// crowd is a builder whose builds end when as many as may run at once have run at once.
type crowd struct {
	img     v1.Image
	running atomic.Int32
	most    atomic.Int32
	full    chan struct{}
	once    sync.Once
}

func (c *crowd) Build(context.Context, Service) (v1.Image, error) {
	n := c.running.Add(1)
	defer c.running.Add(-1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	if int(n) >= runtime.NumCPU() {
		c.once.Do(func() { close(c.full) })
	}
	<-c.full
	for range 1000 {
		runtime.Gosched() // to whatever else can begin
	}
	return c.img, nil
}

func TestBuildsAreBoundedByCores(t *testing.T) {
	t.Parallel()
	services := make([]Service, 50*runtime.NumCPU())
	for i := range services {
		services[i] = Service{Name: fmt.Sprintf("s%03d", i), Language: Python}
	}
	c := &crowd{img: imageOf(t), full: make(chan struct{})}
	built, err := Builders{Python: Limited{Each: c}}.All(t.Context(), services)
	if err != nil || len(built) != len(services) {
		t.Errorf("%d of %d built, error %v", len(built), len(services), err)
	}
	if most := int(c.most.Load()); most != runtime.NumCPU() {
		t.Errorf("%d builds at once, with %d cores", most, runtime.NumCPU())
	}
}
