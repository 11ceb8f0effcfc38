// Package rpc is how the containers of a Pod talk to each other: gRPC over loopback, with limits, health and trace
// context that both ends share.
//
// A server begins with [NewServer], a client with [Dial] and, before its first call, [WaitServing]. Message limits
// are [MaxMessageBytes] in both directions. The trace of a call travels by itself: a context made by [WithTrace]
// gives it to the other end, where [TraceFrom] finds it.
package rpc
