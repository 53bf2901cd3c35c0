package dump

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pg_dump 18 --statistics writes statements behind a heading of their own, between
// rows and what follows them. That of 19 is made by hand here, after 18's: there is no
// release of it.
func TestPlainStatistics(t *testing.T) {
	t.Parallel()
	const text = `--
-- PostgreSQL database dump
--

-- Dumped from database version 18.1
-- Dumped by pg_dump version 18.1

SET client_encoding = 'UTF8';

--
-- Name: t; Type: TABLE; Schema: public; Owner: app
--

CREATE TABLE public.t (
    id integer
);

ALTER TABLE public.t OWNER TO app;

--
-- Data for Name: t; Type: TABLE DATA; Schema: public; Owner: app
--

COPY public.t (id) FROM stdin;
1
\.


--
-- Statistics for Name: t; Type: STATISTICS DATA; Schema: public; Owner: -
--

SELECT * FROM pg_catalog.pg_restore_relation_stats(
	'version', '180001'::integer,
	'relation', 'public.t'::regclass
);

--
-- Name: t_id; Type: INDEX; Schema: public; Owner: app
--

CREATE INDEX t_id ON public.t USING btree (id);

--
-- Statistics for Name: t_id; Type: STATISTICS DATA; Schema: public; Owner: -
--

SELECT * FROM pg_catalog.pg_restore_relation_stats(
	'version', '180001'::integer,
	'relation', 'public.t_id'::regclass
);

--
-- PostgreSQL database dump complete
--
`
	const extended = `SELECT * FROM pg_catalog.pg_restore_extended_stats(
	'version', '190000'::integer,
	'schemaname', 'public',
	'statistics_name', 't_both'
);

`
	want := []string{"TABLE t", "TABLE DATA t", "STATISTICS DATA t", "INDEX t_id", "STATISTICS DATA t_id"}
	const end = "--\n-- PostgreSQL database dump complete\n"
	for version, c := range map[string]struct {
		text string
		want []string
	}{
		"18.1": {text, want},
		"19beta1": {
			strings.Replace(strings.ReplaceAll(strings.ReplaceAll(text, "version 18.1", "version 19beta1"), "180001", "190000"), end,
				"--\n-- Statistics for Name: t_both; Type: EXTENDED STATISTICS DATA; Schema: public; Owner: -\n--\n\n"+extended+
					"--\n-- Name: t_more; Type: EXTENDED STATISTICS DATA; Schema: public; Owner: -\n--\n\n"+extended+end, 1),
			append(slices.Clone(want), "EXTENDED STATISTICS DATA t_both", "EXTENDED STATISTICS DATA t_more"),
		},
	} {
		file := filepath.Join(t.TempDir(), "plain.sql")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(t.Context(), file, Options{})
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		t.Cleanup(func() { _ = d.Close() })
		var got []string
		for _, e := range d.Entries {
			if e.Kind != "ENCODING" {
				got = append(got, e.Kind+" "+e.Tag)
			}
		}
		if !slices.Equal(got, c.want) || d.Server != version {
			t.Errorf("%s: %q of %q, want %q", version, got, d.Server, c.want)
		}
	}
}
