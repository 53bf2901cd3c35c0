package mask

import (
	"strings"
	"testing"
)

func TestCommon(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]bool{
		"new york": true, "new york usa": true, "rio de janeiro": true, "united kingdom": true, "lisbon portugal": true, "saint étienne": true, "saint etienne": true, "in progress": true,
		"credit card": true, "frankfurt am main": true, "république": false, "berlin": true, "madrid office": true, "paris hill": false,
		"anna koch": false, "maria new": false, "kay reed": false, "new": true, "paid anna": false, "blue falcon": false, "april brown": false, "main street 5": false, "": true,
	} {
		if got := Common(strings.Fields(words)); got != want {
			t.Errorf("%q is common: %v", words, got)
		}
	}
	for p := range places {
		if strings.Count(p, " ") >= mostPlaceWords || strings.ToLower(p) != p {
			t.Errorf("%q is never found", p)
		}
	}
}

// TestFingerprint: what is printed of a value is another one for each key and use.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	k := keyOf(t)
	other, err := NewKey([]byte(strings.Repeat("another key ", 4)))
	if err != nil {
		t.Fatal(err)
	}
	a := k.Fingerprint("leak public.a.b", "x")
	if !hex64.MatchString(a) || a != k.Fingerprint("leak public.a.b", "x") {
		t.Errorf("fingerprint %q", a)
	}
	for what, b := range map[string]string{"use": k.Fingerprint("leak public.a.c", "x"), "text": k.Fingerprint("leak public.a.b", "y"), "key": other.Fingerprint("leak public.a.b", "x")} {
		if a == b {
			t.Errorf("the %s does not matter", what)
		}
	}
}
