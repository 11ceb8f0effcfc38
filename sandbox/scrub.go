package sandbox

import "strings"

// scrub takes the sandbox's secrets out of an error that people, or a log, will see. What callers decide by stays.
func (s *session) scrub(err error) error {
	if err == nil {
		return nil
	}
	record, readErr := s.state.Read()
	if readErr != nil || record.BrokerPassword == "" || !strings.Contains(err.Error(), record.BrokerPassword) {
		return err
	}
	return scrubbed{err, strings.ReplaceAll(err.Error(), record.BrokerPassword, "***")}
}

type scrubbed struct {
	error
	text string
}

func (s scrubbed) Error() string { return s.text }
func (s scrubbed) Unwrap() error { return s.error }
