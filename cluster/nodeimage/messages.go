package nodeimage

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// message is one of the JSON messages that the engine's long answers consist of.
type message struct {
	ID       string `json:"id"` // of a layer
	Status   string `json:"status"`
	Progress struct {
		Current int64 `json:"current"` // bytes
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error string `json:"error"`
}

// follow reads messages to their end, and returns the error that is among them.
func follow(r io.Reader, each func(message)) error {
	for messages := json.NewDecoder(r); ; {
		var m message
		err := messages.Decode(&m)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the engine's answer: %w", err)
		case m.Error != "":
			return errors.New(m.Error)
		}
		each(m)
	}
}
