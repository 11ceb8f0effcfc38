package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// etcdServer reads the config store for services without a client of their own.
type etcdServer struct {
	pb.UnimplementedEtcdServer

	stopped <-chan struct{}
	mu      sync.Mutex
	store   *etcd.Client
}

// InitEtcd connects to the config store. It doesn't wait for it.
func (s *etcdServer) InitEtcd(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	if _, err := s.connect(); err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

func (s *etcdServer) connect() (*etcd.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store != nil {
		return s.store, nil
	}
	store, err := etcd.Connect(context.Background(), etcd.Endpoints)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	s.store = store
	go func() {
		<-s.stopped
		if err := store.Close(); err != nil {
			slog.Debug("config store not closed", "error", err)
		}
	}()
	return store, nil
}

// GetDatasetMetadata reads the description of a data set at a key such as /datasets/wageGap.
func (s *etcdServer) GetDatasetMetadata(ctx context.Context, in *pb.EtcdKey) (*pb.Dataset, error) {
	store, err := s.connect()
	if err != nil {
		return nil, err
	}
	value, err := store.Get(ctx, in.GetPath())
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if value == nil {
		return nil, status.Errorf(codes.NotFound, "config store has no %s", in.GetPath())
	}
	var dataset struct {
		Name      string   `json:"name"`
		Type      string   `json:"type"`
		Delimiter string   `json:"delimiter"`
		Tables    []string `json:"tables"`
	}
	if err := json.Unmarshal(value, &dataset); err != nil {
		return nil, status.Errorf(codes.DataLoss, "%s in the config store is no data set: %v", in.GetPath(), err)
	}
	return &pb.Dataset{Name: dataset.Name, Type: dataset.Type, Delimiter: dataset.Delimiter, Tables: dataset.Tables}, nil
}
