package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// engineMessage is one of the JSON objects in which the engine reports a pull, a load or a build.
type engineMessage struct {
	ID       string `json:"id"`
	Stream   string `json:"stream"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Aux   json.RawMessage `json:"aux"`
	Error string          `json:"error"`
}

// readEngineStream reads the engine's report to its end. An error that the engine reports in it is returned.
func readEngineStream(r io.Reader, each func(engineMessage)) error {
	d := json.NewDecoder(r)
	for {
		var m engineMessage
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
		if each != nil {
			each(m)
		}
	}
}
