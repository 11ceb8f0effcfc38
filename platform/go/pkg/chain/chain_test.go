package chain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// note adds a word to the result.
func note(word string) Handler {
	return SQL(func(_ context.Context, m *pb.MicroserviceCommunication, request *pb.SqlDataRequest) error {
		m.Result = append(m.Result, word+"("+request.GetQuery()+") "...)
		return nil
	})
}

func TestChainAnswersOnceAndEnds(t *testing.T) {
	t.Parallel()
	for length := 1; length <= 3; length++ {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			var services []Service
			want := request(t, "C1", "x")
			for i := range length {
				word := fmt.Sprint("s", i)
				services = append(services, Service{Name: word, Handle: note(word)})
				want.Result = append(want.Result, word+"(SELECT 1) "...)
			}
			r := start(t, 0, services...)
			sent := request(t, "C1", "x")
			want.Traces = sent.Traces
			if _, err := r.first.SendData(t.Context(), sent); err != nil {
				t.Fatal(err)
			}
			// Calls are nested: when the first returns, the answer is there.
			select {
			case got := <-r.answers:
				if !proto.Equal(got, want) {
					t.Errorf("answer %v, want %v", got, want)
				}
			default:
				t.Error("the first service returned before the chain had answered")
			}
			r.finish(t)
			if n := len(r.stops); n != 1 {
				t.Errorf("sidecar was told to end %d times, want once", n)
			}
		})
	}
}

func TestServiceThatNeedsSeveralMessages(t *testing.T) {
	t.Parallel()
	var seen []string
	merge := func(_ context.Context, messages []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		for _, m := range messages {
			seen = append(seen, m.GetData().GetFields()["a"].GetListValue().GetValues()[0].GetStringValue())
		}
		return messages[0], nil
	}
	r := start(t, 3, Service{Name: "merge", Handle: merge, Messages: 3}, Service{Name: "last", Handle: note("last")})
	for _, cell := range []string{"x", "y", "z"} {
		// One after the other: a sidecar may wait for each call to return.
		if len(r.answers) > 0 {
			t.Fatalf("answered before %s", cell)
		}
		if cell == "z" {
			_, err := r.first.SendData(t.Context(), request(t, "C2", "other request"))
			if status.Code(err) != codes.Unavailable {
				t.Errorf("another request's message: %v, want UNAVAILABLE", err)
			}
		}
		if _, err := r.first.SendData(t.Context(), request(t, "C1", cell)); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-r.answers; got.GetMetadata()[ErrorKey] != "" || !strings.HasPrefix(string(got.GetResult()), "last") {
		t.Errorf("answer %v", got)
	}
	if want := []string{"x", "y", "z"}; !slices.Equal(seen, want) {
		t.Errorf("handler got %q, want %q", seen, want)
	}
	r.finish(t)
}

func TestFailureTravels(t *testing.T) {
	t.Parallel()
	fails := Service{Name: "fails", Handle: func(context.Context, []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		return nil, errors.New("no such table: Persons")
	}}
	panics := Service{Name: "panics", Handle: func(context.Context, []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		panic("nil map")
	}}
	unexpected := func(context.Context, []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		return nil, errors.New("asked in spite of the failure")
	}
	tooLarge := Service{Name: "tooLarge", Handle: func(_ context.Context, m []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		m[0].Result = make([]byte, rpc.MaxMessageBytes+1)
		return m[0], nil
	}}
	failed := request(t, "C1")
	failed.Metadata, failed.Data = map[string]string{ErrorKey: "sql-query: no such table"}, nil
	for _, test := range []struct {
		name     string
		services []Service
		in       []*pb.MicroserviceCommunication
		want     string // prefix
	}{
		{"of the first", []Service{fails, {Name: "b", Handle: unexpected}}, nil, "fails: no such table: Persons"},
		{"of the last", []Service{{Name: "a", Handle: note("a")}, fails}, nil, "fails: no such table: Persons"},
		{"panic", []Service{panics, {Name: "b", Handle: unexpected}}, nil, "panics: internal error: nil map"},
		{"of a service before", []Service{{Name: "a", Handle: unexpected}}, []*pb.MicroserviceCommunication{failed}, "sql-query: no such table"},
		{
			"one of two messages", []Service{{Name: "merge", Handle: unexpected, Messages: 2}},
			[]*pb.MicroserviceCommunication{failed, request(t, "C1", "x")}, "sql-query: no such table",
		},
		{"unknown request type", []Service{{Name: "a", Handle: note("a")}}, []*pb.MicroserviceCommunication{{Type: MessageType, RequestType: "mlRequest"}}, `a: request type "mlRequest" is not known here`},
		{"message too large for the next", []Service{tooLarge, {Name: "b", Handle: unexpected}}, nil, "tooLarge: hand the message to the next service"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := test.in
			if in == nil {
				in = []*pb.MicroserviceCommunication{request(t, "C1", "x")}
			}
			r := start(t, len(in), test.services...)
			for _, m := range in {
				if _, err := r.first.SendData(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			got := <-r.answers
			if text := got.GetMetadata()[ErrorKey]; !strings.HasPrefix(text, test.want) {
				t.Errorf("error is %q, want %q", text, test.want)
			}
			if got.GetData() != nil || len(got.GetResult()) != 0 {
				t.Error("a failure carries data")
			}
			if !proto.Equal(got.GetRequestMetadata(), in[0].GetRequestMetadata()) {
				t.Errorf("request metadata %v, want %v", got.GetRequestMetadata(), in[0].GetRequestMetadata())
			}
			r.finish(t)
		})
	}
}

func TestColumnNamedErrorIsNoFailure(t *testing.T) {
	t.Parallel()
	r := start(t, 0, Service{Name: "a", Handle: note("a")})
	m := request(t, "C1", "x")
	m.Metadata = map[string]string{ErrorKey: "object"} // a column's type
	if _, err := r.first.SendData(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got := <-r.answers; len(got.GetResult()) == 0 {
		t.Errorf("answer %v has no result", got)
	}
	r.finish(t)
}

func TestNextServiceThatCrashesIsLeftOut(t *testing.T) {
	t.Parallel()
	sc := newSidecar(t)
	port := ports(t, 2)
	// The next service takes the call and is gone.
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", rpc.Local(port+1))
	if err != nil {
		t.Fatal(err)
	}
	server, _ := rpc.NewServer()
	pb.RegisterMicroserviceServer(server, crash{stop: server})
	go func() { _ = server.Serve(listener) }()

	ended := make(chan error, 1)
	go func() {
		s := Service{Name: "a", Handle: note("a")}
		ended <- s.Run(t.Context(), Place{Port: port, SidecarPort: sc.port, First: true, Queue: "Q"})
	}()
	<-sc.begun
	conn, err := rpc.Dial(rpc.Local(port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewMicroserviceClient(conn).SendData(t.Context(), request(t, "C1", "x")); err != nil {
		t.Fatal(err)
	}
	if text := (<-sc.answers).GetMetadata()[ErrorKey]; !strings.HasPrefix(text, "a: hand the message to the next service") {
		t.Errorf("error is %q", text)
	}
	<-sc.stops // nobody else would end the sidecar
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type crash struct {
	pb.UnimplementedMicroserviceServer
	stop *grpc.Server
}

func (c crash) SendData(ctx context.Context, _ *pb.MicroserviceCommunication) (*pb.ContinueReceiving, error) {
	go c.stop.Stop()
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestServiceEndsWithItsSidecar(t *testing.T) {
	t.Parallel()
	r := start(t, 0, Service{Name: "a", Handle: note("a")}, Service{Name: "b", Handle: note("b")})
	r.health.Ending()
	r.finish(t)
	if len(r.stops) != 0 {
		t.Error("a service that did nothing told the sidecar to end")
	}
}

func TestSidecarRestartedAloneIsAskedAgain(t *testing.T) {
	t.Parallel()
	count := func(_ context.Context, messages []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		var cells []string
		for _, m := range messages {
			cells = append(cells, m.GetData().GetFields()["a"].GetListValue().GetValues()[0].GetStringValue())
		}
		messages[0].Result = []byte(strings.Join(cells, " "))
		return messages[0], nil
	}
	r := start(t, 2, Service{Name: "merge", Handle: count, Messages: 2})
	if _, err := r.first.SendData(t.Context(), request(t, "C1", "x")); err != nil {
		t.Fatal(err)
	}
	r.server.Stop()
	r.serve(t)
	<-r.begun
	for _, cell := range []string{"x", "y"} { // the first was not acknowledged, and comes again
		if _, err := r.first.SendData(t.Context(), request(t, "C1", cell)); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-r.answers; string(got.GetResult()) != "x y" {
		t.Errorf("answer of messages %q, want each once", got.GetResult())
	}
	r.finish(t)
}

func TestServiceEndsWhenItsSidecarStaysAway(t *testing.T) {
	t.Parallel()
	port := ports(t, 2)
	s := Service{Name: "a", Handle: note("a"), patience: 10 * time.Millisecond}
	// Nothing listens at the sidecar's port.
	if err := s.Run(t.Context(), Place{Port: port, SidecarPort: port + 1, Queue: "Q", Last: true}); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

func TestMessagesOfSeveralProvidersNeedAJoin(t *testing.T) {
	t.Parallel()
	r := start(t, 2, Service{Name: "sql-algorithm", Handle: note("a")})
	if _, err := r.first.SendData(t.Context(), request(t, "C1", "x")); err != nil {
		t.Fatal(err)
	}
	got := <-r.answers
	if text := got.GetMetadata()[ErrorKey]; !strings.HasPrefix(text, "sql-algorithm: 2 data providers") || len(got.GetResult()) != 0 {
		t.Errorf("answer %v, want a failure that says that 2 providers send rows", got)
	}
	r.finish(t)
}

func TestServiceEndsWithItsPod(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := Service{Name: "a", Handle: note("a")}
	ended := make(chan error, 1)
	// Nothing listens at the sidecar's port.
	port := ports(t, 2)
	go func() {
		ended <- s.Run(ctx, Place{Port: port, SidecarPort: port + 1, First: true, Last: true, Queue: "Q"})
	}()
	conn, err := rpc.Dial(rpc.Local(port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := rpc.WaitServing(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("run = %v, want nil", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("service runs on")
	}
}

func TestMessageOfAnotherType(t *testing.T) {
	t.Parallel()
	r := start(t, 0, Service{Name: "a", Handle: note("a")})
	_, err := r.first.SendData(t.Context(), &pb.MicroserviceCommunication{Type: "sqlDataRequest"})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("error = %v, want INVALID_ARGUMENT", err)
	}
	r.health.Ending()
	r.finish(t)
}

func TestPlaceFromEnv(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"DESIGNATED_GRPC_PORT": "50054", "SIDECAR_PORT": "50051", "FIRST": "0", "LAST": "1",
		"JOB_NAME": "Juva1", "NR_OF_DATA_PROVIDERS": "2", "DYNAMOS_HTTP_REQUEST_TIMEOUT": "60",
	}
	got, err := PlaceFromEnv(func(name string) string { return env[name] })
	want := Place{Port: 50054, SidecarPort: 50051, Last: true, Queue: "Juva1", Providers: 2, RequestTimeout: time.Minute}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got.next() != 50051 {
		t.Errorf("the last service's next is port %d, want the sidecar's", got.next())
	}

	if got.nextTimeout() != 40*time.Second || (Place{}).nextTimeout() != 20*time.Second {
		t.Errorf("the next service may take %v of %v, want two thirds", got.nextTimeout(), got.RequestTimeout)
	}

	env["FIRST"], env["JOB_NAME"] = "yes", ""
	delete(env, "NR_OF_DATA_PROVIDERS")
	_, err = PlaceFromEnv(func(name string) string { return env[name] })
	if err == nil || !strings.Contains(err.Error(), `FIRST is "yes"`) || !strings.Contains(err.Error(), "JOB_NAME") ||
		strings.Contains(err.Error(), "NR_OF_DATA_PROVIDERS") {
		t.Errorf("error = %v, want one that names FIRST and JOB_NAME only", err)
	}
}
