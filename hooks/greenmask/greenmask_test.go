package greenmask

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seedling-dev/seedling/hooks/mask"
)

// entry is a configuration with one transformer for public.t.
func entry(transformer string) []byte {
	return []byte("dump:\n  transformation:\n    - schema: public\n      name: t\n      transformers:\n        - " + transformer + "\n")
}

func TestCounterparts(t *testing.T) {
	t.Parallel()
	for transformer, want := range map[string]string{ // rules, with ? where a person is asked
		`{name: SetNull, params: {column: c}}`:                                                                          "null",
		`{name: Replace, params: {column: c, value: "a: \"b\" <c>"}}`:                                                   `{mask: constant, value: "a: \"b\" <c>"}`,
		`{name: Replace, params: {column: c, value: 12}}`:                                                               `{mask: constant, value: "12"}`,
		`{name: Replace, params: {column: c, value: '\N'}}`:                                                             "null",
		`{name: Replace, params: {column: c}, dynamic_params: {value: {column: d}}}`:                                    "?",
		`{name: Hash, params: {column: c, function: sha1, max_length: 10}}`:                                             "{mask: hash, digits: 10} text",
		`{name: Hash, params: {column: c, max_length: 2}}`:                                                              "text",
		`{name: RandomString, params: {column: c, min_length: 5, max_length: 50}}`:                                      "hash text",
		`{name: Masking, params: {column: c, type: mobile}}`:                                                            "phone text",
		`{name: Masking, params: {column: c}}`:                                                                          "text",
		`{name: Masking, params: {column: c, type: other}}`:                                                             "?",
		`{name: RegexpReplace, params: {column: c, regexp: '(\d+)-\d+', replace: '$1-x'}}`:                              `{mask: regex, pattern: "(\\d+)-\\d+", replace: "$1-x", malformed: text} ?`,
		`{name: Dict, params: {column: c, values: {a: b, "c": "\\N", d: b}, default: z}}`:                               `{mask: choice, values: ["b", "z"]} ?`,
		`{name: Dict, params: {column: c, values: {a: "\\N"}}}`:                                                         "?",
		`{name: Json, params: {column: c, operations: [{operation: set, path: a, value: 1}]}}`:                          "json ?",
		`{name: RandomEmail, params: {column: c}}`:                                                                      "email {mask: email, unique: false}",
		`{name: RandomEmail, params: {column: c, keep_original_domain: true}}`:                                          "{mask: email, domain: keep} email ?",
		`{name: RandomPerson, params: {columns: [{name: c, template: "{{ .LastName }}"}]}}`:                             "last_name",
		`{name: RandomPerson, params: {columns: [{name: c, template: "{{ .Title }} {{.FirstName}} {{ .LastName }}"}]}}`: "full_name",
		`{name: RandomPerson, params: {columns: [{name: c, template: "x"}]}}`:                                           "?",
		`{name: RandomCompany, params: {columns: [{name: c, template: "{{ .CompanyName }}"}]}}`:                         "company",
		`{name: RealAddress, params: {columns: [{name: c, template: "{{.PostalCode}}"}]}}`:                              "postcode",
		`{name: RealAddress, params: {columns: [{name: c, template: "{{.Address}}, {{.City}}"}]}}`:                      "street",
		`{name: RandomChoice, params: {column: c, values: [a, "\\N", 3]}}`:                                              `{mask: choice, values: ["a", "3"]}`,
		`{name: RandomInt, params: {column: c, min: 1, max: 9}}`:                                                        "{mask: number_range, min: 1, max: 9}",
		`{name: RandomFloat, params: {column: c, min: 1, max: 9.5, decimal: 2}}`:                                        "{mask: number_range, min: 1, max: 9.5, decimals: 2}",
		`{name: RandomInt, params: {column: c, max: 9}, dynamic_params: {min: {column: d}}}`:                            "?",
		`{name: RandomUnixTimestamp, params: {column: c, min: "2020-01-01", max: "2024-01-01"}}`:                        "?",
		`{name: RandomDate, params: {column: c, min: "2020-01-01", max: "2024-01-01"}}`:                                 `{mask: constant, value: "2020-01-01"} ?`,
		`{name: NoiseInt, params: {column: c, max_ratio: 0.255}}`:                                                       "{mask: number_noise, percent: 26}",
		`{name: NoiseFloat, params: {column: c, ratio: 7}}`:                                                             "{mask: number_noise, percent: 100}",
		`{name: NoiseDate, params: {column: c, max_ratio: "1 year 2 mons 3 days 04:05:06"}}`:                            "{mask: date_shift, by: KEY, days: 429} year_only",
		`{name: NoiseDate, params: {column: c, max_ratio: "720:00:00"}}`:                                                "{mask: date_shift, by: KEY, days: 30} year_only",
		`{name: NoiseDate, params: {column: c, max_ratio: "8760 hours"}}`:                                               "{mask: date_shift, by: KEY, days: 365} year_only",
		`{name: NoiseDate, params: {column: c, max_ratio: "20 minutes"}}`:                                               "{mask: date_shift, by: KEY, days: 1} year_only",
		`{name: Cmd, params: {columns: [{name: c}], executable: cat}}`:                                                  "?",
		`{name: Template, params: {column: c, template: "x"}}`:                                                          "?",
		`{name: OurOwn, params: {column: c}}`:                                                                           "?",
		`{name: SetNull, params: {column: c}, when: "record.a == 1"}`:                                                   "null ?",
	} {
		s, err := Read(entry(transformer))
		if err != nil {
			t.Errorf("%s: %v", transformer, err)
			continue
		}
		got := s.Columns[mask.ColumnName{Schema: "public", Table: "t", Column: "c"}]
		said := strings.ReplaceAll(strings.Join(got.Rules, " "), mask.TheKey, "KEY")
		if got.Why != "" {
			said = strings.TrimSpace(said + " ?")
		}
		if said != want {
			t.Errorf("%s:\n got %s\nwant %s", transformer, said, want)
		}
	}
}

// Every counterpart is a rule of the policy's language.
func TestRulesAreRules(t *testing.T) {
	t.Parallel()
	params := `{column: c, value: x, regexp: 'a', replace: 'b', values: [a, b], min: 1, max: 2, max_ratio: "0.5", max_length: 8}`
	for name := range counterparts {
		for _, template := range []string{"{{ .FirstName }}", "{{.Address}}", "{{.City}}", "{{.Latitude}}", "{{.CompanyName}}"} {
			for _, p := range []string{params, `{columns: [{name: c, template: "` + template + `"}]}`} {
				s, err := Read(entry("{name: " + name + ", params: " + p + "}"))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for _, sug := range s.Columns {
					for _, rule := range sug.Rules {
						rule = strings.ReplaceAll(rule, mask.TheKey, "id")
						if _, err := mask.ParsePolicy([]byte("version: 1\ntables: {public.t: {columns: {c: " + rule + "}}}")); err != nil {
							t.Errorf("%s: %s: %v", name, rule, err)
						}
					}
				}
			}
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(content)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[mask.Name][]string{
		{Schema: "public", Name: "orders"}: {asksSubset, "Greenmask's Cmd works on whole rows and names no column: its columns are judged as everywhere, look at each"},
		{Schema: "public", Name: "log"}:    {asksReferences},
	}, s.Tables); diff != "" {
		t.Error(diff)
	}
	for name, why := range map[string]string{"email": "", "Nick Name": "", "notes": asksSeveral, "team": asksCondition} {
		sug, ok := s.Columns[mask.ColumnName{Schema: "public", Table: "people", Column: name}]
		if !ok || sug.Why != why {
			t.Errorf("%s: %v %+v", name, ok, sug)
		}
	}
	if sug := s.Columns[mask.ColumnName{Schema: "crm", Table: "Contact", Column: "Mail"}]; len(sug.Rules) == 0 {
		t.Error("a quoted name is not found")
	}
}

// A file that is something else is one sentence, without what is in it.
func TestNotGreenmask(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"", "PLANTED", "- PLANTED", "{PLANTED", "dump: PLANTED", "dump: {transformation: PLANTED}", "dump: {transformation: []}", "version: 1\ntables: {}\n",
		"dump: {transformation: [{schema: PLANTED}]}", "dump: {transformation: [{name: t, transformers: [{name: X, params: {columns: [{nom: PLANTED}]}}]}]}",
		"dump: {transformation: [{name: t, transformers: [{name: X, params: [PLANTED]}]}]}", "dump: {transformation: [{name: t, transformers: PLANTED}]}",
		"storage: {s3: {secret_access_key: PLANTED}}",
	} {
		if s, err := Read([]byte(content)); err == nil || strings.Contains(err.Error(), "PLANTED") {
			t.Errorf("%q: %+v, %v", content, s, err)
		}
	}
}
