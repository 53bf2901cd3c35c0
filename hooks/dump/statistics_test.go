package dump

import (
	"os"
	"path/filepath"
	"testing"
)

// pg_dump 18 --statistics writes statements behind a heading of their own, between
// rows and what follows them.
func TestPlainStatistics(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "plain.sql")
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
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var got []string
	for _, e := range d.Entries {
		if e.Kind != "ENCODING" {
			got = append(got, e.Kind+" "+e.Tag)
		}
	}
	want := []string{"TABLE t", "TABLE DATA t", "STATISTICS DATA t", "INDEX t_id", "STATISTICS DATA t_id"}
	if len(got) != len(want) {
		t.Fatalf("%q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got[i], want[i])
		}
	}
}
