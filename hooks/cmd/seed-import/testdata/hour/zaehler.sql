-- Meters of a utility: partitions in partitions, types of one's own (enum, domain, composite, arrays of these), exclusion and
-- generated columns, a partition with another order of columns, numbers of places and contracts.
CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public;
CREATE SCHEMA IF NOT EXISTS {P};
SET search_path = {P}, public;
CREATE FUNCTION pg_temp.given(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n, 'Zdeněk', 'Květoslava', 'Bohumil', 'Radka', 'Přemysl', 'Ludmila', 'Vojtěch', 'Šárka') $$;
CREATE FUNCTION pg_temp.family(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n * 3 + 1, 'Dvořáková', 'Procházka', 'Havlíček', 'Kučerová', 'Říha', 'Jedličková', 'Smetana') $$;
CREATE TYPE quality AS ENUM ('measured', 'estimated', 'manual'); CREATE TYPE tariff AS ENUM ('D02d', 'D25d', 'C01d');
CREATE DOMAIN ean18 AS char(18) CHECK (VALUE ~ '^8591824\d{11}$'); CREATE DOMAIN mail AS text CHECK (VALUE ~ '^[^@ ]+@[^@ ]+\.[a-z]+$'); CREATE DOMAIN phone_cz AS varchar(16) CHECK (VALUE ~ '^\+420( \d{3}){3}$'); CREATE DOMAIN kwh AS numeric(12,3) CHECK (VALUE >= 0);
CREATE TYPE address AS (street text, house_no text, city text, zip char(5)); CREATE TYPE person AS (full_name text, email mail, home address);
CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who person NOT NULL, phone phone_cz, birth_no varchar(11) UNIQUE, billing address, former address[], tariff tariff NOT NULL, contract tstzrange NOT NULL, kind text GENERATED ALWAYS AS (CASE WHEN birth_no IS NULL THEN 'company' ELSE 'household' END) STORED);
INSERT INTO customer (who, phone, birth_no, billing, former, tariff, contract) SELECT ROW(pg_temp.given(g) || ' ' || pg_temp.family(g), ('odberatel' || g || '@posta.test')::mail, ROW('Lipová', g::text, 'Telč', lpad((58800 + g % 90)::text, 5, '0'))::address)::person, '+420 ' || 600 + g % 99 || ' ' || 100 + g % 899 || ' ' || lpad((g * 7 % 1000)::text, 3, '0'), CASE WHEN g % 10 > 0 THEN lpad((500101 + g * 37)::text, 6, '0') || '/' || lpad((g * 7 % 10000)::text, 4, '0') END, ROW('Nádražní', g::text, 'Písek', '39701')::address, ARRAY[ROW('Stará', g::text, 'Tábor', '39001')::address], (ARRAY['D02d', 'D25d', 'C01d'])[1 + g % 3]::tariff, tstzrange(timestamptz '2020-01-01' + g * interval '1 day', NULL) FROM generate_series(1, 250) g;
CREATE TABLE supply_point (ean ean18 PRIMARY KEY, customer int NOT NULL REFERENCES customer, meter_serial varchar(12) NOT NULL, location point, access_note text, valid daterange NOT NULL, EXCLUDE USING gist (meter_serial WITH =, valid WITH &&));
INSERT INTO supply_point SELECT '8591824' || lpad((31000000 + g * 6101)::text, 11, '0'), 1 + g % 250, 'EM' || 100000 + g * 7, point(14 + g / 900.0, 49 + g / 700.0), CASE WHEN g % 3 = 0 THEN 'Klíč u sousedky ' || pg_temp.family(g) || ', volat +420 777 ' || 100 + g || ' ' || 200 + g END, daterange(date '2021-01-01' + g, NULL) FROM generate_series(1, 300) g;
CREATE TABLE reading (ean ean18 NOT NULL, read_at timestamptz NOT NULL, quality quality NOT NULL, value kwh NOT NULL, phases kwh[], reader text, operator_id text, raw jsonb, PRIMARY KEY (ean, read_at, quality)) PARTITION BY RANGE (read_at);
CREATE TABLE reading_2024_01 PARTITION OF reading FOR VALUES FROM ('2024-01-01') TO ('2024-02-01') PARTITION BY LIST (quality);
CREATE TABLE reading_2024_01_measured PARTITION OF reading_2024_01 FOR VALUES IN ('measured'); CREATE TABLE reading_2024_01_rest PARTITION OF reading_2024_01 DEFAULT;
CREATE TABLE reading_2024_02 (raw jsonb, operator_id text, reader text, phases kwh[], value kwh NOT NULL, quality quality NOT NULL, read_at timestamptz NOT NULL, ean ean18 NOT NULL); ALTER TABLE reading ATTACH PARTITION reading_2024_02 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE INDEX reading_operator ON reading ((substr(operator_id, 4)::int)); CREATE INDEX reading_signal ON reading (((raw ->> 'rssi')::int)); CREATE INDEX ON reading USING brin (read_at);
INSERT INTO reading SELECT '8591824' || lpad((31000000 + (1 + g % 300) * 6101)::text, 11, '0'), timestamptz '2024-01-01' + g * interval '42 minutes', (ARRAY['measured', 'estimated', 'manual'])[1 + g % 3]::quality, g * 1.125, ARRAY[g % 50, g % 40, g % 30]::kwh[], CASE WHEN g % 3 = 2 THEN pg_temp.given(g % 6) || ' ' || pg_temp.family(g % 6) END, 'OP-' || 1000 + g * 31 % 977, jsonb_build_object('rssi', -40 - g % 60, 'fw', '3.' || g % 5, 'operator', pg_temp.given(g % 7) || ' ' || pg_temp.family(g % 7)) FROM generate_series(1, 1900) g;
CREATE TABLE invoice (number bigint PRIMARY KEY, customer int REFERENCES customer, period int4range, total money, variable_symbol varchar(10) UNIQUE, lines person[], paid bool); INSERT INTO invoice SELECT 202400000 + g, 1 + g % 250, int4range(g, g + 30), (g * 13.5)::numeric::money, (9100000000 + g::bigint * 7919)::text, ARRAY[ROW(pg_temp.given(g) || ' ' || pg_temp.family(g), ('odberatel' || g || '@posta.test')::mail, NULL)::person], g % 3 > 0 FROM generate_series(1, 300) g;
-- about somebody: customer | (who).full_name | (who).email::text | ((who).home).street || ((who).home).house_no | phone::text | birth_no | (billing).street || (billing).house_no | (former[1]).street || (former[1]).house_no
-- either: customer | who | billing | former | contract | kind
-- about somebody: supply_point | access_note
-- either: supply_point | ean | meter_serial | location | valid
-- about somebody: reading | reader | raw ->> 'operator'
-- either: reading | ean | raw | phases | operator_id
-- about somebody: invoice | variable_symbol | (lines[1]).full_name
-- either: invoice | lines | total | number | period
