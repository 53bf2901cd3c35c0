package seed_test

import (
	"testing"

	"github.com/seedling-dev/seedling/hooks/internal/pgtest"
	"github.com/seedling-dev/seedling/hooks/seed"
)

// TestSettingsOfTheServer: what it sets for other sessions does not end those
// of an import.
func TestSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	src := pgtest.Source(t)
	file := src.Dump(t, src.Database(t, shop), "-Fc")
	for _, setting := range []string{"idle_session_timeout = '100ms'", "default_transaction_read_only = on"} {
		t.Run(setting, func(t *testing.T) {
			t.Parallel()
			s := pgtest.Start(t)
			s.Exec(t, "postgres", "ALTER ROLE postgres SET "+setting)
			o := options(t, s, file, shopPolicy)
			mustImport(t, o, seed.Imported)
			nothingLeft(t, s)
			if _, err := seed.Verify(t.Context(), o); err != nil {
				t.Error(err)
			}
		})
	}
}
