package main

import (
	"net"
	"testing"
	"time"
)

func TestPatientDialWaitsForAListener(t *testing.T) {
	t.Parallel()
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	reserved.Close()
	opened := make(chan net.Listener, 1)
	time.AfterFunc(3*dialPause, func() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
		}
		opened <- l
	})
	conn, err := patientDial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if l := <-opened; l != nil {
		l.Close()
	}
}
