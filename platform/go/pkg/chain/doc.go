// Package chain is the frame of a Go service in a chain: the containers of one Job, of which each works on a data
// request's message and hands it to the next. A main function calls [Main] with a [Service].
//
// # Life
//
// A service learns its place from its environment ([PlaceFromEnv]). It serves dynamos.Microservice on its own port;
// the first service of a chain then asks the sidecar to consume the Job's queue, and the sidecar hands it what
// arrives. Each service hands on to the next port, the last one to the sidecar, which sends the answer to the agent;
// the calls are nested, so that each returns when the rest of the chain has done its part. A service that has handed
// on ends, the last one after it told the sidecar to end too. A service whose sidecar announces its end, because the
// chain broke elsewhere, ends as well; so does one whose sidecar stays away for a minute. The first service asks a
// sidecar that was restarted alone again.
//
// # Errors
//
// A failure travels to whoever asked: instead of the result, the message gets metadata["error"], with the text
// "<service>: <what failed>", and loses its data and result. Later services hand such a message on without touching
// it, and the agent at the chain's end answers its request with a failure. If the next service can't be reached the
// message goes to the sidecar directly. Services in other languages do the same under the same key ([ErrorKey]).
package chain
