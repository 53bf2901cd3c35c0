package postgres

import (
	"testing"
	"time"
)

// When the source was dumped is in the record, and is not told by seeds of older
// imports, nor by dumps that do not say it.
func TestDumpedAt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		record string
		at     time.Time
		fails  bool
	}{
		"told":       {`{"record":1,"dumpCreated":"2026-01-01T23:00:00Z","rows":3}`, time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC), false},
		"not told":   {`{"record":1}`, time.Time{}, false},
		"no record":  {"", time.Time{}, false},
		"no time":    {`{"dumpCreated":"yesterday"}`, time.Time{}, true},
		"no JSON":    {`{"record":1`, time.Time{}, true},
		"not a text": {`{"dumpCreated":7}`, time.Time{}, true},
	} {
		m := Marker{Record: test.record}
		if at, err := m.DumpedAt(); !at.Equal(test.at) || (err != nil) != test.fails {
			t.Errorf("%s: %s, error %v", name, at, err)
		}
	}
}
