package proto

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// contract is testdata/wire.txt.
type contract struct {
	messages map[string][]field
	rpcs     []string
}

type field struct {
	number   protowire.Number
	name     string
	kind     string // of an element, or of a map's values
	repeated bool
	keyed    bool // a map, by strings
}

func readContract(t *testing.T) contract {
	t.Helper()
	text, err := os.ReadFile("testdata/wire.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := contract{messages: map[string][]field{}}
	var message string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "rpc":
			c.rpcs = append(c.rpcs, strings.Join(words[1:], " "))
		case len(words) == 1:
			message = words[0]
			c.messages[message] = nil
		default:
			n, err := strconv.Atoi(words[0])
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			f := field{number: protowire.Number(n), name: words[1], kind: words[len(words)-1], repeated: words[2] == "repeated"}
			if value, ok := strings.CutPrefix(f.kind, "map<string,"); ok {
				f.kind, f.keyed = strings.TrimSuffix(value, ">"), true
			}
			c.messages[message] = append(c.messages[message], f)
		}
	}
	return c
}

// wireNumber is what numbers are set to; as an enum's it is NOT_SERVING.
const wireNumber = 2

// bytesOf is a message with all of its fields set, encoded after the contract alone. Texts are the names of their fields.
func (c contract) bytesOf(message string) (b []byte) {
	for _, f := range c.messages[message] {
		switch {
		case f.keyed:
			entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "key")
			b = protowire.AppendBytes(protowire.AppendTag(b, f.number, protowire.BytesType), c.value(entry, 2, f))
		case f.repeated:
			b = c.value(c.value(b, f.number, f), f.number, f)
		default:
			b = c.value(b, f.number, f)
		}
	}
	return b
}

// value appends one value of a field, under a number.
func (c contract) value(b []byte, number protowire.Number, f field) []byte {
	switch f.kind {
	case "bool":
		return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), 1)
	case "uint32", "enum":
		return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), wireNumber)
	}
	b = protowire.AppendTag(b, number, protowire.BytesType)
	text := func(b []byte, number protowire.Number, text string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
	}
	switch f.kind {
	case "string", "bytes":
		return protowire.AppendString(b, f.name)
	case "google.protobuf.Any":
		return protowire.AppendBytes(b, text(text(nil, 1, "type.googleapis.com/dynamos.SqlDataRequest"), 2, "value"))
	case "google.protobuf.Struct": // one entry, whose value is a string
		value := text(nil, 3, "value")
		entry := protowire.AppendBytes(protowire.AppendTag(text(nil, 1, "key"), 2, protowire.BytesType), value)
		return protowire.AppendBytes(b, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), entry))
	default:
		return protowire.AppendBytes(b, c.bytesOf(f.kind))
	}
}

// ours calls visit for each file of the package dynamos.
func ours(visit func(protoreflect.FileDescriptor)) {
	protoregistry.GlobalFiles.RangeFilesByPackage("dynamos", func(file protoreflect.FileDescriptor) bool {
		visit(file)
		return true
	})
}

func TestMessagesOnTheWire(t *testing.T) {
	t.Parallel()
	c := readContract(t)
	ours(func(file protoreflect.FileDescriptor) {
		for i := range file.Messages().Len() {
			name := string(file.Messages().Get(i).Name())
			if _, ok := c.messages[name]; !ok {
				t.Errorf("%s is not in the contract", name)
			}
		}
	})
	for name, fields := range c.messages {
		kind, err := protoregistry.GlobalTypes.FindMessageByName("dynamos." + protoreflect.FullName(name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := c.bytesOf(name)
		message := kind.New()
		if err := proto.Unmarshal(want, message.Interface()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		described := message.Descriptor().Fields()
		for _, f := range fields {
			d := described.ByName(protoreflect.Name(f.name))
			if d == nil || d.Number() != f.number || !message.Has(d) {
				t.Errorf("%s: field %d %s is %v", name, f.number, f.name, d)
			}
		}
		if described.Len() != len(fields) || len(message.GetUnknown()) > 0 {
			t.Errorf("%s has %d fields, and doesn't know %x; want %d", name, described.Len(), message.GetUnknown(), len(fields))
		}
		got, err := proto.MarshalOptions{Deterministic: true}.Marshal(message.Interface())
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s on the wire, %v:\n got %x\nwant %x", name, err, got, want)
		}
	}
}

func TestServices(t *testing.T) {
	t.Parallel()
	var got []string
	ours(func(file protoreflect.FileDescriptor) {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				method := service.Methods().Get(j)
				response := string(method.Output().Name())
				if method.IsStreamingServer() {
					response = "stream " + response
				}
				if method.IsStreamingClient() {
					t.Errorf("%s takes a stream", method.FullName())
				}
				got = append(got, strings.Join([]string{string(service.Name()), string(method.Name()), string(method.Input().Name()), response}, " "))
			}
		}
	})
	want := readContract(t).rpcs
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("RPCs:\n got %q\nwant %q", got, want)
	}
}
