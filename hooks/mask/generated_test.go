package mask

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write policy.schema.json and MASKERS.md again")

func TestGenerated(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]byte{"policy.schema.json": Schema(), "MASKERS.md": Reference()} {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not in step with the registry, run go test ./mask -run TestGenerated -update:\n%s", name, diff)
		}
	}
}

// The README's examples are policies.
func TestReadmeExamples(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) < 3 {
		t.Fatalf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		policy := string(b[1])
		if !strings.Contains(policy, "version:") {
			policy = "version: 1\n" + policy
		}
		if _, err := ParsePolicy([]byte(policy)); err != nil {
			t.Errorf("%v\n%s", err, policy)
		}
	}
}

func TestEveryMaskerIsDocumented(t *testing.T) {
	t.Parallel()
	for _, m := range maskerList {
		for _, s := range []string{m.doc.what, m.doc.unique, m.doc.keeps, m.doc.learns} {
			if s == "" {
				t.Errorf("masker %s: a part of its documentation is empty", m.name)
			}
			if strings.Contains(s, "|") {
				t.Errorf("masker %s: a | would break the table", m.name)
			}
		}
		for _, o := range m.options {
			if o.doc == "" {
				t.Errorf("masker %s: option %s is not documented", m.name, o.name)
			}
		}
	}
}

// The schema and the parser must agree on what is well-formed. What the
// schema cannot say (names against each other) is not in this table.
func TestSchemaAgreesWithParser(t *testing.T) {
	t.Parallel()
	const head = "version: 1\ntables:\n  public.t:\n"
	tests := map[string]bool{
		"version: 1\n":                                          true,
		"version: 2\n":                                          false,
		"tables: {}\n":                                          false,
		"version: 1\ntable: {}\n":                               false,
		benchPolicy:                                             true,
		head + "    rows: none\n":                               true,
		head + "    rows: some\n":                               false,
		head + "    columns: {a: keep}\n":                       true,
		head + "    columns: {a: ~}\n":                          true,
		head + "    columns: {a: null}\n":                       true,
		head + "    columns: {a: nope}\n":                       false,
		head + "    columns: {a: date_shift}\n":                 false,
		head + "    columns: {a: {mask: date_shift, by: id}}\n": true,
		head + "    columns: {a: {mask: date_shift, by: id, days: 0}}\n":                                             false,
		head + "    columns: {a: {mask: keep, unique: true}}\n":                                                      false,
		head + "    columns: {a: {mask: email, unique: 1}}\n":                                                        false,
		head + "    columns: {a: {mask: email, link: x}}\n":                                                          false,
		head + "    columns: {a: [email]}\n":                                                                         false,
		head + "    columns: {a: {mask: choice, values: []}}\n":                                                      false,
		head + "    columns: {a: {mask: choice, values: [1, x, true]}}\n":                                            true,
		head + "    columns: {a: {mask: constant, value: ~}}\n":                                                      false,
		head + "    columns: {a: {mask: array, of: email}}\n":                                                        true,
		head + "    columns: {a: {mask: array, of: {mask: array}}}\n":                                                false,
		head + "    columns: {a: {mask: json, paths: {$.a: email}, unlisted: stop}}\n":                               true,
		head + "    columns: {a: {mask: json, paths: {$.a: emial}}}\n":                                               false,
		head + "    columns: {a: {mask: json, unlisted: keep}}\n":                                                    false,
		head + "    columns: {a: {mask: number_range, min: 1, max: 2.5}}\n":                                          true,
		head + "    rows: {where: [{column: a, in: [x]}]}\n":                                                         true,
		head + "    rows: {where: [{column: a, is: null}, {column: b, from: 1, below: 9}]}\n":                        true,
		head + "    rows: {where: [{column: a}]}\n":                                                                  false,
		head + "    rows: {where: [{column: a, in: [x]}], on_missing_parent: null}\n":                                true,
		head + "    rows: {where: [{column: a, in: [x]}], on_missing_parent: drop}\n":                                true,
		head + "    rows: {where: [{column: a, in: [x]}], on_missing_parent: cascade}\n":                             false,
		head + "    rows: {where: [{column: a, newest: 90d}, {column: b, share: 5 %}], on_missing_parent: follow}\n": true,
		head + "    rows: {where: [{column: a, newest: 90}]}\n":                                                      false,
		head + "    rows: {where: [{column: a, newest: 0d}]}\n":                                                      false,
		head + "    rows: {where: [{column: a, share: 0.05}]}\n":                                                     false,
		head + "    rows: {where: [{column: a, share: 100 %}]}\n":                                                    false,
		head + "    rows: {where: []}\n":                                                                             false,
		head + "    rows: {where: [{column: a, like: x}]}\n":                                                         false,
		head + "    {}\n":                                                               false,
		"version: 1\nlarge_objects: mask\n":                                             false,
		"version: 1\ncomments: keep\nlarge_objects: none\n":                             true,
		"version: 1\naccept: [{object: a, sha256: b}]\n":                                false,
		"version: 1\naccept: [{object: a, sha256: " + strings.Repeat("0a", 32) + "}]\n": true,
		"version: 1\nlinks: {l: [a.b.c]}\nroles: {a: b}\ntypes: {boolean: keep}\n":      true,
		"version: 1\nmin_distinct: 0\n":                                                 true,
		"version: 1\nmin_distinct: -1\n":                                                false,
		"version: 1\nmin_distinct: 201\n":                                               false,
		"version: 1\nmin_distinct: many\n":                                              false,
		"version: 1\nlinks: {l: a.b.c}\n":                                               false,
		"version: 1\ntypes: {boolean: nope}\n":                                          false,
		// Numbers and booleans are what YAML takes for them.
		"version: \"1\"\n":                false,
		"version: 1\nmin_distinct: '5'\n": false,
		head + "    columns: {a: {mask: date_shift, by: id, days: '30'}}\n":              false,
		head + "    columns: {a: {mask: date_shift, by: id, days: 30}}\n":                true,
		head + "    columns: {a: {mask: email, unique: 'true'}}\n":                       false,
		head + "    columns: {a: {mask: email, unique: yes}}\n":                          false,
		head + "    columns: {a: {mask: email, unique: True}}\n":                         true,
		head + "    columns: {a: {mask: email, unique: FALSE}}\n":                        true,
		head + "    columns: {a: {mask: number_range, min: none, max: 2}}\n":             false,
		head + "    columns: {a: {mask: number_range, min: '1.5', max: 2}}\n":            true,
		head + "    columns: {a: {mask: number_range, min: NaN, max: 2}}\n":              false,
		head + "    columns: {a: {mask: number_range, min: 0, max: 2, decimals: 1.0}}\n": false,
		// A name may be a number.
		head + "    columns: {a: {mask: date_shift, by: 2024}}\n":                                   true,
		head + "    columns: {a: {mask: hash, prefix: 49}}\n":                                       true,
		head + "    columns: {a: {mask: array, of: {mask: email, link: 7}}}\nlinks: {7: [a.b.c]}\n": true,
		head + "    columns: {2024: keep, null: keep, yes: keep}\n":                                 true,
		head + "    rows: {where: [{column: 2024, in: [x]}]}\n":                                     true,
		"version: 1\nroles: {1: 2}\n":                                                               true,
		"version: 1\nroles: {a: ~}\n":                                                               false,
	}
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	for policy, want := range tests {
		_, err := ParsePolicy([]byte(policy))
		if (err == nil) != want {
			t.Errorf("parser: want ok %v, error %v:\n%s", want, err, policy)
		}
		var doc any
		if err := yaml.Unmarshal([]byte(policy), &doc); err != nil {
			t.Fatal(err)
		}
		if err := validate(schema, schema, doc); (err == nil) != want {
			t.Errorf("schema: want ok %v, error %v:\n%s", want, err, policy)
		}
	}
}

// validate checks a value against the part of JSON Schema that Schema uses.
func validate(root, schema map[string]any, v any) error {
	for keyword, arg := range schema {
		switch keyword {
		case "$schema", "$defs", "title", "description", "default":
		case "$ref":
			def := root["$defs"].(map[string]any)[strings.TrimPrefix(arg.(string), "#/$defs/")]
			if err := validate(root, def.(map[string]any), v); err != nil {
				return err
			}
		case "anyOf", "allOf":
			matches := 0
			for _, sub := range arg.([]any) {
				if validate(root, sub.(map[string]any), v) == nil {
					matches++
				}
			}
			if matches == 0 || keyword == "allOf" && matches < len(arg.([]any)) {
				return fmt.Errorf("%v matches %d of %s", v, matches, keyword)
			}
		case "const":
			if !same(arg, v) {
				return fmt.Errorf("%v is not %v", v, arg)
			}
		case "enum":
			if !slices.ContainsFunc(arg.([]any), func(e any) bool { return same(e, v) }) {
				return fmt.Errorf("%v is not one of %v", v, arg)
			}
		case "type":
			names, list := arg.([]any)
			if !list {
				names = []any{arg}
			}
			if !slices.Contains(names, any(jsonType(v))) && !(jsonType(v) == "integer" && slices.Contains(names, any("number"))) {
				return fmt.Errorf("%v is %s, not %v", v, jsonType(v), arg)
			}
		case "pattern":
			if s, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(s) {
				return fmt.Errorf("%v does not match", v)
			}
		case "minimum", "maximum":
			if n, ok := v.(int); ok && (keyword == "minimum" && float64(n) < arg.(float64) || keyword == "maximum" && float64(n) > arg.(float64)) {
				return fmt.Errorf("%v is out of range", v)
			}
		case "items":
			list, _ := v.([]any)
			for _, item := range list {
				if err := validate(root, arg.(map[string]any), item); err != nil {
					return err
				}
			}
		case "minItems":
			if list, ok := v.([]any); ok && float64(len(list)) < arg.(float64) {
				return fmt.Errorf("too few items")
			}
		case "minProperties":
			if m, ok := v.(map[string]any); ok && float64(len(m)) < arg.(float64) {
				return fmt.Errorf("too few properties")
			}
		case "required":
			m, ok := v.(map[string]any)
			for _, name := range arg.([]any) {
				if _, there := m[name.(string)]; ok && !there {
					return fmt.Errorf("%v is missing", name)
				}
			}
		case "properties":
			m, _ := v.(map[string]any)
			for name, sub := range arg.(map[string]any) {
				if pv, there := m[name]; there {
					if err := validate(root, sub.(map[string]any), pv); err != nil {
						return err
					}
				}
			}
		case "additionalProperties":
			m, _ := v.(map[string]any)
			known, _ := schema["properties"].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(m)) {
				if _, there := known[name]; there {
					continue
				}
				if allowed, ok := arg.(bool); ok && !allowed {
					return fmt.Errorf("%s is not a property", name)
				}
				if err := validate(root, arg.(map[string]any), m[name]); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("the test does not know the keyword %s", keyword)
		}
	}
	return nil
}

func same(a, b any) bool {
	if f, ok := a.(float64); ok {
		n, ok := b.(int)
		return ok && float64(n) == f
	}
	return reflect.DeepEqual(a, b)
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case bool:
		return "boolean"
	case int:
		return "integer"
	case float64:
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
