-- A hospital in Germany: quoted names with umlauts and spaces, domains, enums, composite types, exclusion constraints,
-- generated columns, row level security, views on everything.
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
CREATE SCHEMA IF NOT EXISTS {P};
CREATE SCHEMA "Station{S}";
SET search_path = {P}, public;
CREATE FUNCTION pg_temp.given(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n, 'Anke', 'Jürgen', 'Beate', 'Thorsten', 'Heike', 'Wolfgang', 'Gisela', 'Uwe', 'Sabine', 'Detlef', 'Käthe', 'Björn', 'Irmgard', 'Holger') $$;
CREATE FUNCTION pg_temp.family(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n * 7 + 3, 'Quenthaber', 'Müller', 'Schäfer', 'Zwickensohn', 'Krüger', 'Abelstroth', 'Groß', 'Hinrichsen', 'Vogelsang', 'Pfannenschmidt', 'Lüders', 'Obermaier', 'Tietjen') $$;
CREATE DOMAIN "Versichertennummer" AS text CHECK (VALUE ~ '^[A-Z][0-9]{9}$');
CREATE DOMAIN blz AS char(8);
CREATE DOMAIN kontonummer AS varchar(34) CHECK (VALUE ~ '^DE[0-9]{20}$');
CREATE TYPE "Anschrift" AS ("Straße" text, "PLZ" varchar(5), "Ort" text, "Land" char(2));
CREATE TYPE geschlecht AS ENUM ('männlich', 'weiblich', 'divers');
CREATE TYPE dringlichkeit AS ENUM ('niedrig', 'mittel', 'hoch', 'Notfall');
CREATE TABLE "Patient" (
	"PatientID" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	"Vorname" varchar(60) NOT NULL, "Nachname" varchar(60) NOT NULL, "Geburtsname" varchar(60),
	"Anzeigename" text GENERATED ALWAYS AS ("Nachname" || ', ' || "Vorname") STORED,
	"Geburtsdatum" date NOT NULL CHECK ("Geburtsdatum" > '1900-01-01'), "Sterbedatum" date, CHECK ("Sterbedatum" >= "Geburtsdatum"),
	"Geschlecht" geschlecht, "Wohnort" "Anschrift", "KVNr" "Versichertennummer" UNIQUE, "Kasse" text, "Bankverbindung" kontonummer,
	"Größe (cm)" smallint, "Gewicht in kg" numeric(4,1), "Blutgruppe" varchar(3), "Tel. privat" text, "E-Mail" text, "Hausarzt" text,
	"Notfallkontakt" jsonb, "Sprachen" text[], "angelegt am" timestamptz DEFAULT now(), "angelegt von" varchar(8),
	CHECK ("E-Mail" IS NULL OR "E-Mail" LIKE '%@%'));
INSERT INTO "Patient" ("Vorname", "Nachname", "Geburtsname", "Geburtsdatum", "Sterbedatum", "Geschlecht", "Wohnort", "KVNr", "Kasse", "Bankverbindung", "Größe (cm)", "Gewicht in kg", "Blutgruppe", "Tel. privat", "E-Mail", "Hausarzt", "Notfallkontakt", "Sprachen", "angelegt am", "angelegt von")
SELECT pg_temp.given(g), pg_temp.family(g), CASE WHEN g % 3 = 0 THEN pg_temp.family(g + 50) END, date '1931-02-03' + g * 83 % 28000, CASE WHEN g % 41 = 0 THEN date '2023-03-01' + g END,
	(ARRAY['männlich', 'weiblich', 'divers'])[1 + g % 3]::geschlecht, ROW(pg_temp.pick(g, 'Am Deich', 'Hauptstraße', 'Lindenallee', 'Kirchweg') || ' ' || 1 + g % 90, (20000 + g * 13)::text, pg_temp.pick(g, 'Bremen', 'Oldenburg', 'Jever', 'Leer'), 'DE')::"Anschrift",
	chr(65 + g % 26) || lpad((g * 7919 % 999999999)::text, 9, '0'), pg_temp.pick(g, 'AOK', 'Barmer', 'TK', 'DAK'), 'DE' || lpad((g * 99991)::text, 20, '1'), 150 + g % 45, 50 + g % 60, pg_temp.pick(g, 'A+', '0-', 'B+', 'AB'),
	'0' || 4200 + g || '/' || 100000 + g * 37, CASE WHEN g % 4 > 0 THEN lower(translate(pg_temp.family(g), 'äöüßÄÖÜ', 'aousAOU')) || g || '@posteo.test' END, 'Dr. med. ' || pg_temp.given(g % 5) || ' ' || pg_temp.family(g % 5),
	jsonb_build_object('name', pg_temp.given(g + 9) || ' ' || pg_temp.family(g + 9), 'beziehung', pg_temp.pick(g, 'Ehemann', 'Tochter', 'Nachbarin'), 'telefon', '0171 ' || 5000000 + g * 11),
	ARRAY[pg_temp.pick(g, 'Deutsch', 'Türkisch'), pg_temp.pick(g + 1, 'Englisch', 'Platt')], timestamptz '2022-01-01 08:00+01' + g * interval '7 hours', lower(left(pg_temp.family(g % 6), 3)) || g % 6
	FROM generate_series(1, 300) g;
CREATE TABLE "Station{S}"."Zimmer" ("Nr" text PRIMARY KEY, "Betten" int CHECK ("Betten" BETWEEN 1 AND 6), "Bemerkung" text);
INSERT INTO "Station{S}"."Zimmer" SELECT chr(65 + g / 10) || '-' || lpad((g % 10)::text, 2, '0'), 1 + g % 4, CASE WHEN g % 7 = 0 THEN 'Fenster klemmt' END FROM generate_series(0, 39) g;
CREATE TABLE "Station{S}"."Belegung" ("Zimmer" text REFERENCES "Station{S}"."Zimmer" ON UPDATE CASCADE, patient int NOT NULL REFERENCES {P}."Patient", zeit tstzrange NOT NULL, "Dringlichkeit" dringlichkeit,
	"Aufnahmegrund" text, EXCLUDE USING gist ("Zimmer" WITH =, zeit WITH &&));
INSERT INTO "Station{S}"."Belegung" SELECT chr(65 + (g % 40) / 10) || '-' || lpad((g % 40 % 10)::text, 2, '0'), 1 + g % 300, tstzrange(timestamptz '2024-01-01' + g * interval '1 day', timestamptz '2024-01-01' + (g + 5) * interval '1 day'), (ARRAY['niedrig', 'mittel', 'hoch', 'Notfall'])[1 + g % 4]::dringlichkeit,
	pg_temp.pick(g, 'Sturz von der Leiter, ', 'Verdacht auf Appendizitis, ', 'Kontrolle nach OP, ') || 'begleitet von ' || pg_temp.given(g) || ' ' || pg_temp.family(g) FROM generate_series(1, 400) g;
CREATE TABLE befund (id bigserial PRIMARY KEY, patient int REFERENCES "Patient" ON DELETE CASCADE, icd10 varchar(7) NOT NULL, freitext text, befundet_durch text NOT NULL, unterschrift bytea, anlagen int NOT NULL DEFAULT 0);
INSERT INTO befund (patient, icd10, freitext, befundet_durch, unterschrift, anlagen) SELECT 1 + g % 300, chr(65 + g % 20) || lpad((g % 90)::text, 2, '0') || '.' || g % 10, 'Patient berichtet ' || pg_temp.pick(g, 'über Schmerzen', 'von Schwindel', 'über Husten') || ' seit ' || g % 20 || ' Tagen.', pg_temp.given(g % 5) || ' ' || pg_temp.family(g % 5), decode(md5(g::text), 'hex'), g % 4 FROM generate_series(1, 600) g;
CREATE INDEX ON befund (lower(befundet_durch)); CREATE UNIQUE INDEX ON "Patient" (lower(btrim("E-Mail"))) WHERE "E-Mail" <> '';
CREATE VIEW "Alle Patienten" AS SELECT "PatientID", "Anzeigename", ("Wohnort")."Ort" AS ort, "E-Mail" FROM "Patient";
CREATE VIEW "Station{S}".heute WITH (security_barrier) AS SELECT b.*, p."Anzeigename" FROM "Station{S}"."Belegung" b JOIN {P}."Alle Patienten" p ON p."PatientID" = b.patient;
CREATE MATERIALIZED VIEW je_ort AS SELECT ort, count(*) AS n FROM "Alle Patienten" GROUP BY ort; CREATE UNIQUE INDEX ON je_ort (ort);
ALTER TABLE befund ENABLE ROW LEVEL SECURITY; CREATE POLICY nur_eigene ON befund FOR SELECT USING (befundet_durch = current_user);
COMMENT ON COLUMN "Patient"."KVNr" IS 'Unveränderlicher Teil der Versichertennummer';
-- about somebody: "Patient" | "Vorname" | "Nachname" | "Geburtsname" | "Geburtsdatum" | ("Wohnort")."Straße" | "KVNr" | "Bankverbindung" | "Tel. privat" | "E-Mail" | "Hausarzt" | "Notfallkontakt"->>'name' | "Notfallkontakt"->>'telefon'
-- either: "Patient" | "Anzeigename" | "Wohnort" | ("Wohnort")."PLZ" | ("Wohnort")."Ort" | "Notfallkontakt" | "Sterbedatum" | "Geschlecht" | "Kasse" | "Größe (cm)" | "Gewicht in kg" | "Blutgruppe" | "angelegt von" | "Sprachen"
-- about somebody: "Station{S}"."Belegung" | "Aufnahmegrund"
-- either: "Station{S}"."Zimmer" | "Bemerkung"
-- about somebody: befund | freitext | befundet_durch | unterschrift
-- either: befund | icd10
