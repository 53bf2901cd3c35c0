package mask

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"
)

// jsonStep is one step of a path: a member, any member or all items.
type jsonStep struct {
	name       string
	any, items bool
}

// parseJSONPath reads $.a."b c".*[*] and the like.
func parseJSONPath(path string) ([]jsonStep, error) {
	rest, ok := strings.CutPrefix(path, "$")
	if !ok {
		return nil, errors.New("a path starts with $, as in $.contact.email")
	}
	var steps []jsonStep
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, "[*]"):
			steps = append(steps, jsonStep{items: true})
			rest = rest[3:]
		case strings.HasPrefix(rest, ".*"):
			steps = append(steps, jsonStep{any: true})
			rest = rest[2:]
		case strings.HasPrefix(rest, `."`):
			end := 2
			for end < len(rest) && rest[end] != '"' {
				if rest[end] == '\\' {
					end++
				}
				end++
			}
			if end >= len(rest) {
				return nil, errors.New("a quote is not closed")
			}
			var name string
			if err := json.Unmarshal([]byte(rest[1:end+1]), &name); err != nil {
				return nil, errors.New("a quoted member is written as in JSON")
			}
			steps = append(steps, jsonStep{name: name})
			rest = rest[end+1:]
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return nil, errors.New("a member's name is missing")
			}
			steps = append(steps, jsonStep{name: rest[1 : 1+end]})
			rest = rest[1+end:]
		default:
			return nil, errors.New("after $ a path has .member, .\"quoted member\", .* and [*]; single items cannot be named")
		}
	}
	return steps, nil
}

// Steps of a JSON path that are not the name of a member.
const (
	AnyMember = "\x00.*"
	AllItems  = "\x00[*]"
)

// JSONPathSteps cuts a path of masker json into its steps: names of members,
// [AnyMember] and [AllItems].
func JSONPathSteps(path string) ([]string, error) {
	parsed, err := parseJSONPath(path)
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, s := range parsed {
		switch {
		case s.any:
			steps = append(steps, AnyMember)
		case s.items:
			steps = append(steps, AllItems)
		default:
			steps = append(steps, s.name)
		}
	}
	return steps, nil
}

func formatJSONPath(steps []jsonStep) string {
	var b strings.Builder
	b.WriteByte('$')
	for _, s := range steps {
		switch {
		case s.items:
			b.WriteString("[*]")
		case s.any:
			b.WriteString(".*")
		default:
			b.WriteString("." + quoteMember(s.name))
		}
	}
	return b.String()
}

func quoteMember(name string) string {
	if name != "" && !strings.ContainsAny(name, ".[*\"\\") && !strings.ContainsFunc(name, unicode.IsControl) {
		return name
	}
	return string(append(appendJSONString([]byte{'"'}, []byte(name)), '"'))
}
