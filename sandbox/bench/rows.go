package main

// rows are what is measured, in this order: the first that needs the sandbox brings it up, the session is looked at after
// it has worked, what removes the sandbox comes last. Beside that those that take long come late, so that a run that is
// cut short has most rows.
var rows = []row{
	{
		name: "load", what: "1 MB changed of a 500 MB image: our load ÷ kind load docker-image",
		compare: ratio, unit: "s", goal: atMost(0.01), measure: loads,
	},
	{
		name: "load-bytes", what: "the same: bytes sent ÷ bytes of the changed layer",
		compare: ratio, unit: "MB", goal: atMost(1.1), measure: bytesSent,
	},
	{
		name: "reload-go", what: "Go service, save until the new code answers − go build alone",
		compare: difference, unit: "s", goal: atMost(0.8), measure: goReload,
	},
	{
		name: "reload-go-mount", what: "the same with up --mount",
		compare: difference, unit: "s", goal: atMost(0), measure: goReloadMounted,
	},
	{
		name: "reload-python", what: "Python service of Jobs, save until the node has it",
		compare: alone, unit: "s", goal: atMost(0.7), measure: pythonReload,
	},
	{
		name: "request-one", what: "computeToData with one provider, request until answer",
		compare: alone, unit: "s", goal: atMost(1.0), measure: oneProvider,
	},
	{
		name: "request-ttp", what: "dataThroughTtp with two providers and aggregate, request until answer",
		compare: alone, unit: "s", goal: atMost(1.3), measure: thirdParty,
	},
	{
		name: "policy", what: "admission policies, of each Pod's creation",
		compare: alone, unit: "ms", goal: atMost(0.3), measure: policyCost,
	},
	{
		name: "session-memory", what: "session process, resident set",
		compare: alone, unit: "MB", goal: atMost(150), measure: sessionMemory,
	},
	{
		name: "session-cpu", what: "session process, of a core in a quiet minute",
		compare: alone, unit: "%", goal: atMost(1), measure: sessionCPU,
	},
	{
		name: "up-running", what: "up on a sandbox that runs",
		compare: alone, unit: "s", goal: atMost(1), measure: upRunning,
	},
	{
		name: "up-stopped", what: "up on a sandbox that was stopped",
		compare: alone, unit: "s", goal: atMost(10), measure: upStopped,
	},
	{
		name: "naive-go", what: "go build, docker build, kind load, rollout restart ÷ save until the new code answers",
		compare: inverse, unit: "s", goal: atLeast(5), measure: naiveGo,
	},
	{
		name: "naive-python", what: "docker build, kind load ÷ save until the node has it",
		compare: inverse, unit: "s", goal: atLeast(5), measure: naivePython,
	},
	{
		name: "up-new", what: "up of a new sandbox, images cached − kind create cluster",
		compare: difference, unit: "s", goal: atMost(5), measure: freshUp,
	},
	{
		name: "growth-memory", what: "session's resident set with ten times the services, keys and files ÷ without, a ceiling",
		compare: ratio, unit: "MB", goal: atMost(tenfold), measure: memoryGrowth,
	},
	{
		name: "growth-cpu", what: "session's share of a core, likewise",
		compare: ratio, unit: "%", goal: atMost(tenfold), measure: cpuGrowth,
	},
}
