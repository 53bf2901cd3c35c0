package mask

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// object is a part of a JSON Schema.
type object = map[string]any

// What several parts of the schema are made of.
var (
	scalarSchema = object{"type": []string{"string", "number", "boolean"}}
	nameSchema   = scalarSchema // what looks like a number to YAML is a name all the same
)

var madeRoleSchema = strict([]string{"make"}, object{
	"make":    object{"type": nameSchema["type"], "description": "a role that the import makes, without login and password"},
	"members": object{"type": "array", "items": nameSchema, "description": "roles of the seed that may SET ROLE to it"},
	"inherit": object{"type": "boolean", "default": false, "description": "the members have its rights all the time, and its row security policies apply to them"},
})

func mapOf(v any) object { return object{"type": "object", "additionalProperties": v} }

func listOf(v any) object { return object{"type": "array", "items": v, "minItems": 1} }

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

// strict is an object of these properties and no others.
func strict(required []string, properties object) object {
	o := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// Schema returns the JSON Schema (draft 2020-12) of a policy, made from the
// registry that the parser reads, for editors. The parser checks more: names
// against each other, and later against the dump.
func Schema() []byte {
	schema := strict([]string{"version"}, object{
		"version":       object{"const": 1},
		"roles":         object{"type": "object", "additionalProperties": object{"anyOf": []any{nameSchema, madeRoleSchema}}, "description": "role of the dump: role of the seed, one that is there or one to make"},
		"extensions":    object{"type": "object", "additionalProperties": object{"enum": []any{"drop"}}, "description": "extensions of the dump that the seed does without; what needs them stops the import"},
		"links":         object{"type": "object", "additionalProperties": listOf(nameSchema), "description": "columns whose equal values get equal masks: name: [schema.table.column, ...]"},
		"tables":        object{"type": "object", "additionalProperties": ref("table"), "description": "by schema.table; * stands for any characters, the most specific entry wins"},
		"types":         object{"type": "object", "additionalProperties": ref("rule"), "description": "rules by type, for columns that tables says nothing about"},
		"logins":        object{"type": "object", "additionalProperties": loginSchema(), "description": "testers' accounts, by schema.table: they keep their address and get a known password hash"},
		"large_objects": object{"enum": []any{"keep", "none"}},
		"comments":      object{"enum": []any{"keep", "drop"}},
		"min_distinct":  object{"type": "integer", "minimum": 0, "maximum": maxMinDistinct, "default": defaultMinDistinct, "description": "masked columns, and places inside masked values, with fewer distinct values in the sample are warned about; 0 never warns"},
		"accept": object{"type": "array", "description": "schema literals, and what verify found in kept columns, that a person has looked at, as they are printed", "items": strict([]string{"object", "sha256"}, object{
			"object": nameSchema, "sha256": object{"type": "string", "pattern": "^[0-9a-f]{64}$"},
		})},
	})
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "Seedling masking policy"
	rule, innerRule := ruleSchemas()
	schema["$defs"] = object{
		"rule":      rule,
		"innerRule": innerRule,
		"table": object{
			"type": "object", "additionalProperties": false, "minProperties": 1,
			"properties": object{
				"columns": mapOf(ref("rule")), "rows": ref("rows"),
				"indexes": object{"type": "object", "additionalProperties": object{"enum": []any{indexTry, indexDrop}}, "description": "unique indexes that the policy cannot promise distinct masks: try builds one and fails the import where rows collide, drop leaves it out; drop leaves out any other index on an expression, too"},
			},
		},
		"rows":      rowsSchema(),
		"condition": conditionSchema(),
	}
	b, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic("mask: " + err.Error()) // strings, numbers and maps of them
	}
	return append(b, '\n')
}

// ruleSchemas are those of a column's rule and of one inside a value, which may have
// a link besides.
func ruleSchemas() (rule, innerRule object) {
	var short, long, inner []any
	for _, m := range maskerList {
		properties := object{"mask": object{"const": m.name}}
		required := []string{"mask"}
		for _, o := range m.options {
			properties[o.name] = optionSchema(o)
			if o.required {
				required = append(required, o.name)
			}
		}
		if len(required) == 1 {
			short = append(short, m.name)
		}
		whole := strict(required, properties)
		whole["title"] = m.name
		whole["description"] = strings.ReplaceAll(m.doc.what, "`", "")
		long = append(long, whole)
		withLink := object{"link": object{"type": nameSchema["type"], "description": "the link group whose masks this place shares"}}
		maps.Copy(withLink, properties)
		part := strict(required, withLink)
		part["title"] = m.name
		inner = append(inner, part)
	}
	shortForm := object{"enum": append(short, nil), "description": "a masker that needs no options"}
	return object{"anyOf": append([]any{shortForm}, long...)}, object{"anyOf": append([]any{shortForm}, inner...)}
}

func optionSchema(o option) object {
	var v object
	switch o.kind {
	case optString:
		v = maps.Clone(nameSchema)
		if o.choices != nil {
			v = object{"type": "string", "enum": o.choices}
			if slices.Contains(o.choices, "null") {
				v = object{"enum": append(anys(o.choices), nil)}
			}
		}
	case optScalar:
		v = object{"type": scalarSchema["type"]}
	case optInt:
		v = object{"type": "integer", "minimum": o.min, "maximum": o.max}
	case optNumber:
		v = object{"type": []string{"number", "string"}, "pattern": `^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`}
	case optBool:
		v = object{"type": "boolean"}
	case optScalars:
		v = listOf(scalarSchema)
	case optRule:
		v = object{"allOf": []any{ref("innerRule")}}
	case optRules:
		v = mapOf(ref("innerRule"))
	}
	v["description"] = o.doc
	if o.fallback != nil && o.fallback != "" {
		v["default"] = o.fallback
	}
	return v
}

func rowsSchema() object {
	return object{"anyOf": []any{
		object{"enum": []any{"all", "none"}},
		strict([]string{"where"}, object{
			"where":             listOf(ref("condition")),
			"on_missing_parent": object{"enum": []any{orphansStop, orphansDrop, orphansNull, nil, orphansFollow}, "description": "what happens to rows that reference a dropped row: the import stops (the default), they are dropped too, the reference becomes NULL where its column is nullable, or (the default with newest and share) they are dropped and references in a circle become NULL"},
		}),
	}}
}

func conditionSchema() object {
	return object{
		"type": "object", "additionalProperties": false, "required": []string{"column"}, "minProperties": 2,
		"properties": object{
			"column": nameSchema, "in": listOf(scalarSchema), "not_in": listOf(scalarSchema),
			"is":   object{"enum": []any{"null", nil, "not null"}},
			"from": scalarSchema, "below": scalarSchema,
			"newest": object{"type": "string", "pattern": newestText.String(), "description": "rows of this age at most when the dump was made: 36h, 90d, 8w"},
			"share":  object{"type": "string", "pattern": shareText.String(), "description": "rows of this part of the column's values, chosen by the key: 5 %"},
		},
	}
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
