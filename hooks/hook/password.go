package hook

import (
	"os"
	"strings"
)

// PasswordFileVariable names the file that holds the password for the seed's
// Postgres, so that a connection string can be written where everybody reads
// it and the password stays in its Secret.
const PasswordFileVariable = "SEED_PASSWORD_FILE"

// Password reads the password from the file that SEED_PASSWORD_FILE names,
// without its line end; "" where the variable is not set.
func Password(getenv func(string) string) (string, error) {
	file := getenv(PasswordFileVariable)
	if file == "" {
		return "", nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", Misconfiguredf("read the password for the seed's Postgres (%s): %w", PasswordFileVariable, err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", Misconfiguredf("read the password for the seed's Postgres (%s): %s is empty", PasswordFileVariable, file)
	}
	return password, nil
}
