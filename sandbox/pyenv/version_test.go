package pyenv

import "testing"

func TestPossible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"":                            true,
		">=7.35.1,<8":                 true,
		"==4.25.3,>=7.35.1":           false,
		"==4.25.3,==4.25.3.0":         true,
		"==4.25.*,>=4.25.8":           true,
		"==4.25.*,>=4.26":             false,
		"==4.*,!=4.*":                 false,
		"~=1.59,>=1.85.1":             true,
		"~=1.59.0,>=1.85.1":           false,
		"<7,>=6.30":                   true,
		"<7":                          true,
		"<7,>6.99":                    true,
		">7,<7.0":                     false,
		">1.2,<1.3":                   true,
		">1.2,<1.3,!=1.2.1":           true,
		"<=1.2,>=1.2,!=1.2":           false,
		">=1.60.0rc1,<1.61":           true,
		">=6.30 , <7,":                true,
		"(>=3.20,<3.21)":              true,
		"<0":                          false,
		">=2,<1":                      false,
		"===1.2,==1.2":                true,
		"<3,>=2.9.9,!=2.9.9,>=2.9.10": true,
		"==1.60rc1,>=1.60":            false, // a candidate for a release comes before it
		"==1.60.post1,>=1.60":         true,
		"==1!2.0,>=3":                 true, // a new epoch
	} {
		bs, ok := parseBounds(text)
		if !ok {
			t.Errorf("%q isn't understood", text)
		}
		if got := bs.possible(); got != want {
			t.Errorf("%q: possible is %v", text, got)
		}
	}
	for _, text := range []string{"1.2", "=1.2", ">=x", "@ https://example.org/x.whl", ">=1.2 <3"} {
		if bs, ok := parseBounds(text); ok {
			t.Errorf("%q was read as %v", text, bs)
		}
	}
}
