// Package scenarios replays requests through a platform and says whether what comes back is what must come back.
//
// A scenario is a YAML file (version 1):
//
//	version: 1
//	name: compute-to-data
//	description: each provider computes on its own data
//	timeout: 110s                     # the default: the gateway gives up after 30 s for the approval and 70 s for the data
//	request:                          # the body of POST /api/v1/requestApproval
//	  type: sqlDataRequest
//	  user: {id: "1", userName: ann.lee@example.org}
//	  dataProviders: [NORTH, SOUTH]
//	  data_request: {type: sqlDataRequest, query: SELECT ..., algorithm: average, options: {aggregate: false}}
//	expect:
//	  status: 200                     # the default
//	  count: 2                        # of responses, whatever the status; by default as many as are listed below
//	  responses:                      # in any order; each must be matched by a response of its own
//	    - json: {mean: 11.877}        # the whole object; a number also matches a string that holds one ("11.877")
//	      tolerance: 0.001            # of numbers, absolute; 0 by default
//	    - table:                      # a list of rows, the first of which names the columns
//	        columns: [Id, Scale]      # all of them, in any order
//	        rows: 100                 # without the names
//	        contains: [{Id: 7}]       # for each of these, a row that has at least these values
//	    - text: "exactly this"
//	    - empty: true                 # a response of "" is a failure unless one asks for it
//	  body: timed out                 # a part of the answer as text, for answers without responses
//
// [ParseDir] reads a folder of them, strictly: an unknown field is an error with its line and column. [Run] sends
// one to a [Platform], usually a [Gateway], and compares. A runner needs no sandbox: the same file runs against
// anything that has a gateway.
//
// The package never retries a request: a platform that needs two attempts has failed the first.
package scenarios
