package nodeimage

import (
	"testing"
	"testing/fstest"
)

func TestDebianMirror(t *testing.T) {
	t.Parallel()
	const debian = "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_CODENAME=bookworm\n"
	for name, tc := range map[string]struct {
		release string
		sources map[string]string
		want    string
	}{
		"one line": {debian, map[string]string{"sources.list": "# deb http://commented.example/debian bookworm main\ndeb-src http://source.example/debian bookworm main\ndeb http://mirror.example/debian bookworm main contrib\n"}, "http://mirror.example/debian"},
		"options":  {debian, map[string]string{"sources.list": "deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/pub/debian/ stable main\n"}, "https://mirror.example/pub/debian/"},
		"stanzas": {debian, map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n" +
			"Types: deb deb-src\n# a comment\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"}, "http://mirror.example/debian"},
		"disabled stanza":     {debian, map[string]string{"sources.list.d/a.sources": "Enabled: no\nTypes: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\n"}, ""},
		"others first":        {debian, map[string]string{"sources.list.d/a.list": "deb https://vendor.example/linux/debian bookworm stable\ndeb https://vendor.example/apt bookworm main\n", "sources.list.d/b.list": "deb http://mirror.example/debian bookworm main\n"}, "http://mirror.example/debian"},
		"not for debootstrap": {debian, map[string]string{"sources.list": "deb mirror+file:/etc/apt/mirrors/debian bookworm main\ndeb cdrom:[x]/debian bookworm main\n"}, ""},
		"another system":      {"ID=ubuntu\nVERSION_CODENAME=noble\n", map[string]string{"sources.list": "deb http://mirror.example/debian noble main\n"}, ""},
		"nothing":             {debian, nil, ""},
	} {
		root := fstest.MapFS{"etc/os-release": {Data: []byte(tc.release)}}
		for file, text := range tc.sources {
			root["etc/apt/"+file] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := debianMirror(root); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}
