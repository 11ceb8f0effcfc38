package etcd

import "time"

// Prefixes of the store. Everything below them has the record type that the key function of the same name spells.
const (
	ArchetypePrefix    = "/archetypes/"
	RequestTypePrefix  = "/requestTypes/"
	MicroservicePrefix = "/microservices/"
	AgreementPrefix    = "/policyEnforcer/agreements/"
	DatasetPrefix      = "/datasets/"
	OnlinePrefix       = "/agents/online/"
	JobsPrefix         = "/agents/jobs/" // of all agents, see [JobPrefix]
)

// AgreementKey holds the [Agreement] of a data steward.
func AgreementKey(steward string) string { return AgreementPrefix + steward }

// ArchetypeKey holds an [Archetype].
func ArchetypeKey(name string) string { return ArchetypePrefix + name }

// RequestTypeKey holds a [RequestType].
func RequestTypeKey(name string) string { return RequestTypePrefix + name }

// MicroserviceKey holds a [Microservice].
func MicroserviceKey(name string) string { return MicroservicePrefix + name + "/chainMetadata" }

// DatasetKey holds a [Dataset].
func DatasetKey(name string) string { return DatasetPrefix + name }

// OptionalServiceKey holds the name of a service that a steward offers. The blank at its end is part of the key.
func OptionalServiceKey(steward, requestType, service string) string {
	return "/agents/" + steward + "/requestType/" + requestType + "/" + service + " "
}

// OnlineKey holds the [Agent] of a running agent, under its lease.
func OnlineKey(agent string) string { return OnlinePrefix + agent }

// JobPrefix is where an agent keeps the composition requests of all users.
func JobPrefix(agent string) string { return JobsPrefix + agent + "/" }

// JobKey holds the composition request of one job, as JSON of the protobuf message.
func JobKey(agent, user, job string) string { return JobPrefix(agent) + user + "/" + job }

// QueueInfoPrefix is where an agent keeps the leases of its jobs' queues. It lies below [JobPrefix], but its values
// are plain text.
func QueueInfoPrefix(agent string) string { return JobPrefix(agent) + "queueInfo/" }

// QueueInfoKey holds the name of a job's queue, for as long as the queue is to live.
func QueueInfoKey(agent, localJob string) string { return QueueInfoPrefix(agent) + localJob }

// Agreement is what a data steward allows.
type Agreement struct {
	Name             string              `json:"name"`
	Relations        map[string]Relation `json:"relations"` // by the user's name, an e-mail address
	ComputeProviders []string            `json:"computeProviders"`
	Archetypes       []string            `json:"archetypes"`
}

// Relation is what a data steward allows one user.
type Relation struct {
	ID                      string   `json:"ID"`
	RequestTypes            []string `json:"requestTypes"`
	DataSets                []string `json:"dataSets"`
	AllowedArchetypes       []string `json:"allowedArchetypes"`
	AllowedComputeProviders []string `json:"allowedComputeProviders"`
}

// Archetype says where computation takes place.
type Archetype struct {
	Name            string `json:"name"`
	ComputeProvider string `json:"computeProvider"` // "other": at a trusted third party
	ResultRecipient string `json:"resultRecipient"`
	Weight          int    `json:"weight"` // the lightest allowed is chosen
}

// ThirdParty reports whether data travel to a party that is not their steward.
func (a Archetype) ThirdParty() bool { return a.ComputeProvider == "other" }

// RequestType says which services answer a type of request.
type RequestType struct {
	Name             string            `json:"name"`
	RequiredServices []string          `json:"requiredServices"`
	OptionalServices map[string]string `json:"optionalServices"` // service: the option that asks for it
}

// Microservice says where a service may stand in a chain.
type Microservice struct {
	Name           string   `json:"name"`
	Label          string   `json:"label"` // the role that runs it
	AllowedOutputs []string `json:"allowedOutputs"`
	Anonymizes     []string `json:"anonymizes,omitempty"` // sensitive columns that leave it anonymous
	Datasets       []string `json:"datasets,omitempty"`   // that it reads
}

// Dataset describes the files of a data set.
type Dataset struct {
	Name      string   `json:"name,omitempty"`
	Type      string   `json:"type,omitempty"`
	Delimiter string   `json:"delimiter,omitempty"`
	Tables    []string `json:"tables,omitempty"`

	SensitiveColumns map[string][]string `json:"sensitive_columns,omitempty"` // by table
}

// Agent is a running agent.
type Agent struct {
	Name          string    `json:"name"`
	ActiveSince   time.Time `json:"ActiveSince"`
	ConfigUpdated time.Time `json:"ConfigUpdated"`
	RoutingKey    string    `json:"routingKey"` // its queue
	DNS           string    `json:"dns"`        // the host that serves its HTTP
}
