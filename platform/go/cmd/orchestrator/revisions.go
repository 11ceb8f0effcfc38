package main

import "sync"

// revisions are the jobs that were held against changed agreements. The zero value has none.
type revisions struct {
	mu   sync.Mutex
	jobs map[string]*revision // by name
}

// revision is what happens to one job.
type revision struct {
	// changing is held by whoever changes the job's parts, or ends it.
	changing sync.Mutex
	// question is the correlation id of the latest change; empty when this orchestrator knows of none. Answers to former
	// ones are of agreements that don't hold any more. Guarded by revisions.mu.
	question string
}

// of is called with mu held.
func (r *revisions) of(job string) *revision {
	if r.jobs[job] == nil {
		if r.jobs == nil {
			r.jobs = map[string]*revision{}
		}
		r.jobs[job] = &revision{}
	}
	return r.jobs[job]
}

// ask makes a question the latest about a job.
func (r *revisions) ask(job, question string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of(job).question = question
}

// latest says whether no other question about a job followed.
func (r *revisions) latest(job, question string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.of(job).question
	return known == "" || known == question
}

// lock waits until nobody changes the job.
func (r *revisions) lock(job string) (unlock func()) {
	r.mu.Lock()
	changing := &r.of(job).changing
	r.mu.Unlock()
	changing.Lock()
	return changing.Unlock
}

// keep forgets all jobs but those.
func (r *revisions) keep(jobs map[string]job) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.jobs {
		if _, ok := jobs[name]; !ok {
			delete(r.jobs, name)
		}
	}
}
