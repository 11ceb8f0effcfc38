package images

import (
	"bytes"
	"testing"
)

func TestArchivesOfOneImageAreEqual(t *testing.T) {
	t.Parallel()
	p, err := takeApart(imageOf(t, textLayer(t, "the base"), textLayer(t, "the program")))
	if err != nil {
		t.Fatal(err)
	}
	write := func() []byte {
		var b bytes.Buffer
		if err := writeArchive(&b, []named{{"docker.io/acc/a:main", p}}, p.layers); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	first := write()
	for range 20 { // an order that is random is right half of the time
		if !bytes.Equal(write(), first) {
			t.Fatal("another archive of the same image")
		}
	}
}
