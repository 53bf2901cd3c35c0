-- A shop that stores events: one table of documents whose shape hangs on their type, snapshots, checkpoints, an outbox, a table
-- of commands that failed, projections by trigger, names of streams that hold keys.
CREATE SCHEMA IF NOT EXISTS {P};
SET search_path = {P}, public;
CREATE FUNCTION pg_temp.given(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n, 'Saskia', 'Joost', 'Fenna', 'Maarten', 'Liesbeth', 'Ruud', 'Willemijn', 'Teun', 'Geertruida') $$;
CREATE FUNCTION pg_temp.family(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n * 5 + 1, 'van der Meulen', 'Hoogendoorn', 'de Wit', 'Zuiderveld', 'Kuipers', '''t Hart', 'Brouwer') $$;
CREATE TYPE event_kind AS ENUM ('CustomerRegistered', 'AddressChanged', 'OrderPlaced', 'NoteAdded', 'PaymentFailed');
CREATE TABLE events (global_position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream_name text NOT NULL, stream_version int NOT NULL, id uuid NOT NULL UNIQUE, type event_kind NOT NULL, data jsonb NOT NULL, metadata jsonb, "time" timestamp NOT NULL, UNIQUE (stream_name, stream_version), CHECK (jsonb_typeof(data) = 'object'));
INSERT INTO events (stream_name, stream_version, id, type, data, metadata, "time") SELECT CASE g % 5 WHEN 2 THEN 'order-' ELSE 'customer-' END || md5('c' || g % 400)::uuid, g / 400, md5('ev' || g)::uuid, (ARRAY['CustomerRegistered', 'AddressChanged', 'OrderPlaced', 'NoteAdded', 'PaymentFailed'])[1 + g % 5]::event_kind,
	CASE g % 5 WHEN 0 THEN jsonb_build_object('fullName', pg_temp.given(g) || ' ' || pg_temp.family(g), 'email', 'klant' || g || '@post.test', 'bsn', (100000000 + g * 7919)::text, 'newsletter', g % 2 = 0)
	WHEN 1 THEN jsonb_build_object('from', jsonb_build_object('straat', 'Gracht ' || g, 'postcode', 1000 + g % 8000 || ' AB'), 'to', jsonb_build_object('straat', 'Singel ' || g, 'postcode', 1000 + g % 7000 || ' CD', 'ontvanger', pg_temp.given(g) || ' ' || pg_temp.family(g)))
	WHEN 2 THEN jsonb_build_object('orderNumber', 'NL-' || 100000 + g, 'total', g * 1.5, 'currency', 'EUR', 'lines', jsonb_build_array(jsonb_build_object('sku', 'A' || g % 40, 'qty', 1 + g % 4), jsonb_build_object('sku', 'B' || g % 30, 'qty', 1, 'engraving', 'Voor ' || pg_temp.given(g))), 'giftMessage', 'Lieve ' || pg_temp.given(g + 2) || ', gefeliciteerd! Groetjes ' || pg_temp.given(g))
	WHEN 3 THEN jsonb_build_object('text', 'Gebeld met ' || pg_temp.given(g) || ' ' || pg_temp.family(g) || ' op 06-' || 10000000 + g * 911, 'by', pg_temp.given(g % 4) || ' ' || pg_temp.family(g % 4))
	ELSE jsonb_build_object('iban', 'NL' || 10 + g % 80 || 'INGB' || lpad((g * 7919)::text, 10, '0'), 'reason', pg_temp.pick(g, 'insufficient_funds', 'expired_card'), 'attempt', g % 3) END,
	jsonb_build_object('correlationId', md5('co' || g), 'userAgent', 'okhttp/4.' || g % 9, 'ip', '145.53.' || g % 250 || '.' || g % 240, 'userId', 'u' || 1000 + g % 90, 'userName', lower(pg_temp.given(g)) || '.' || g % 90), timestamp '2024-01-01' + g * interval '13 minutes' FROM generate_series(1, 1500) g;
CREATE INDEX ON events ((data ->> 'email')) WHERE type = 'CustomerRegistered'; CREATE INDEX events_attempt ON events (((data ->> 'attempt')::int)) WHERE type = 'PaymentFailed'; CREATE INDEX ON events ((metadata ->> 'correlationId')); CREATE INDEX events_total ON events (((data ->> 'total')::numeric)) WHERE data ? 'total';
CREATE TABLE snapshots (stream_name text PRIMARY KEY, version int NOT NULL, state json NOT NULL, taken_at timestamptz NOT NULL);
INSERT INTO snapshots SELECT 'customer-' || md5('c' || g)::uuid, 3, json_build_object('name', json_build_object('first', pg_temp.given(g), 'last', pg_temp.family(g)), 'emails', json_build_array('klant' || g || '@post.test'), 'loyalty', json_build_object('tier', pg_temp.pick(g, 'gold', 'silver'), 'points', g * 10)), timestamptz '2024-02-01' + g * interval '1 hour' FROM generate_series(1, 200) g;
CREATE TABLE checkpoints (subscription text PRIMARY KEY, position bigint NOT NULL, updated_at timestamptz); INSERT INTO checkpoints SELECT s, 1500, timestamptz '2024-05-01' FROM unnest(ARRAY['mailer', 'search-index', 'invoicing', 'loyalty']) s;
CREATE TABLE outbox (id bigserial PRIMARY KEY, topic text NOT NULL, key text, payload bytea NOT NULL, headers jsonb, published_at timestamptz); INSERT INTO outbox (topic, key, payload, headers) SELECT 'mail.send', 'klant' || g, convert_to('{"to":"klant' || g || '@post.test","subject":"Welkom ' || pg_temp.given(g) || '"}', 'UTF8'), '{"type": "json"}' FROM generate_series(1, 50) g;
CREATE TABLE dead_letters (id uuid PRIMARY KEY, command text NOT NULL, body text NOT NULL, exception text, failed_at timestamptz NOT NULL, retries int NOT NULL);
INSERT INTO dead_letters SELECT md5('d' || g)::uuid, pg_temp.pick(g, 'RegisterCustomer', 'ChangeAddress'), '{"fullName":"' || pg_temp.given(g) || ' ' || pg_temp.family(g) || '","email":"klant' || g || '@post.test"}', 'ValidationException: email klant' || g || '@post.test is already taken', timestamptz '2024-04-01' + g * interval '1 hour', g % 5 FROM generate_series(1, 80) g;
CREATE TABLE subject_keys (subject_id uuid PRIMARY KEY, wrapped_key bytea NOT NULL, algorithm text NOT NULL, revoked boolean NOT NULL); INSERT INTO subject_keys SELECT md5('c' || g)::uuid, sha256(('k' || g)::bytea), 'AES-256-GCM', false FROM generate_series(1, 200) g;
CREATE TABLE customers_view (customer_id uuid PRIMARY KEY, display text NOT NULL, email_lower text GENERATED ALWAYS AS (lower(contact ->> 'email')) STORED, contact jsonb NOT NULL, orders int NOT NULL DEFAULT 0, lifetime_value numeric(12,2)); CREATE UNIQUE INDEX ON customers_view (email_lower);
INSERT INTO customers_view (customer_id, display, contact, orders, lifetime_value) SELECT md5('c' || g)::uuid, pg_temp.given(g) || ' ' || pg_temp.family(g), jsonb_build_object('email', 'Klant' || g || '@post.test', 'mobile', '06-' || 10000000 + g * 911), g % 9, g * 7.5 FROM generate_series(1, 200) g;
-- about somebody: events | data ->> 'fullName' | data ->> 'email' | data ->> 'bsn' | data #>> '{to,straat}' | data #>> '{to,ontvanger}' | data ->> 'giftMessage' | data ->> 'text' | data ->> 'by' | data ->> 'iban' | jsonb_path_query(data, '$.lines[*].engraving') #>> '{}' | metadata ->> 'ip' | metadata ->> 'userName'
-- either: events | data | metadata | stream_name | id
-- about somebody: snapshots | state #>> '{name,first}' | state #>> '{name,last}' | state #>> '{emails,0}'
-- either: snapshots | stream_name | state
-- about somebody: dead_letters | body | exception
-- either: dead_letters | id
-- about somebody: subject_keys | wrapped_key
-- either: subject_keys | subject_id
-- either: outbox | id | topic | key | payload | headers
-- about somebody: customers_view | display | contact ->> 'email' | contact ->> 'mobile' | email_lower
-- either: customers_view | contact | customer_id
-- either: checkpoints | subscription
