-- Vehicles and devices, in Portuguese: networks, coordinates, ranges, intervals, money, bits, XML, bytea keys, materialized views
-- on views, statistics, operators, functions with defaults.
CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS ltree WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA public;
CREATE SCHEMA IF NOT EXISTS {P};
CREATE SCHEMA telemetria{S};
SET search_path = {P}, public;
CREATE FUNCTION pg_temp.given(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n, 'Antônia', 'Caetano', 'Iracema', 'Wellington', 'Jussara', 'Thiago', 'Conceição', 'Edmilson', 'Rosângela', 'Ubirajara') $$;
CREATE FUNCTION pg_temp.family(n int) RETURNS text LANGUAGE sql AS $$ SELECT pg_temp.pick(n * 3 + 1, 'Gonçalves', 'dos Santos', 'Figueiredo', 'Cavalcanti', 'Assunção', 'Teixeira', 'Vasconcelos', 'Magalhães') $$;
CREATE FUNCTION cpf_valido(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 ~ '^\d{3}\.\d{3}\.\d{3}-\d{2}$' $$;
CREATE TABLE motorista (cpf varchar(14) PRIMARY KEY CHECK (cpf_valido(cpf)), nome_completo text NOT NULL, cnh char(11) NOT NULL UNIQUE, validade_cnh daterange, celular text, nascimento date, endereco xml, salario money, turno interval, foto bytea, codigo_pin bit(16), observacao text, apelidos text[], ativo boolean);
INSERT INTO motorista SELECT to_char(100000000 + g * 7919, 'FM000"."000"."000') || '-' || lpad((g % 100)::text, 2, '0'), pg_temp.given(g) || ' ' || pg_temp.family(g), lpad((g * 999331::bigint)::text, 11, '2'), daterange(date '2020-01-01' + g, date '2030-01-01' + g), '(11) 9' || 10000000 + g * 331, date '1960-05-01' + g * 37, xmlparse(content '<endereco><rua>Rua ' || pg_temp.family(g) || ', ' || g || '</rua><cidade>Recife</cidade></endereco>'), (2000 + g * 3)::numeric::money, interval '6 hours' + g * interval '1 minute', sha256(g::text::bytea), (g * 919 % 65536)::bit(16), CASE WHEN g % 4 = 0 THEN 'Ligar para a esposa ' || pg_temp.given(g + 1) || ', fone (81) 3' || 1000000 + g END, ARRAY[left(pg_temp.given(g), 3) || 'inho'], g % 9 > 0 FROM generate_series(1, 250) g;
CREATE TABLE veiculo (placa char(7) PRIMARY KEY, chassi varchar(17) UNIQUE NOT NULL, renavam bigint UNIQUE, modelo text, ano int CHECK (ano > 1950), motorista varchar(14) REFERENCES motorista ON UPDATE CASCADE, proprietario text, extras hstore, caminho ltree, seguro numeric(10,2));
INSERT INTO veiculo SELECT chr(65 + g % 26) || 'BC' || g % 10 || chr(65 + g % 20) || lpad((g % 100)::text, 2, '0'), '9BW' || upper(substr(md5('v' || g), 1, 14)), 10000000000 + g * 7919, pg_temp.pick(g, 'Gol 1.0', 'Strada', 'Saveiro'), 2000 + g % 24, (SELECT cpf FROM motorista LIMIT 1 OFFSET g % 250), pg_temp.given(g + 5) || ' ' || pg_temp.family(g + 5), hstore('cor', pg_temp.pick(g, 'prata', 'preto')) || hstore('responsavel', pg_temp.given(g) || ' ' || pg_temp.family(g)), ('frota.' || pg_temp.pick(g, 'norte', 'sul'))::ltree, 900 + g FROM generate_series(1, 200) g ON CONFLICT DO NOTHING;
CREATE TABLE telemetria{S}.aparelho (serie bytea PRIMARY KEY, imei char(15) NOT NULL UNIQUE, mac macaddr, ip inet, rede cidr, apn_senha text, placa char(7) REFERENCES {P}.veiculo, push_token text, versao text);
INSERT INTO telemetria{S}.aparelho SELECT digest(placa, 'sha1'), lpad((row_number() OVER () * 7919)::text, 15, '8'), ('02:00:00:00:0' || n % 10 || ':1' || n % 10)::macaddr, ('10.8.' || n % 250 || '.' || n % 200)::inet, '10.8.0.0/16', 'senha' || substr(md5(placa), 1, 6), placa, 'fcm:' || md5(placa) || md5('p' || placa), '2.' || n % 6 FROM (SELECT placa, row_number() OVER () AS n FROM veiculo) v;
CREATE TABLE telemetria{S}.posicao (momento timestamptz NOT NULL, serie bytea NOT NULL, latitude double precision, longitude double precision, vel real, bruto jsonb, faixa int4range) PARTITION BY RANGE (momento);
CREATE TABLE telemetria{S}."posicao_2024-01" PARTITION OF telemetria{S}.posicao FOR VALUES FROM ('2024-01-01') TO ('2024-02-01'); CREATE TABLE telemetria{S}."posicao_2024-02" PARTITION OF telemetria{S}.posicao FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
INSERT INTO telemetria{S}.posicao SELECT timestamptz '2024-01-02' + g * interval '40 minutes', a.serie, -8.05 - g / 10000.0, -34.9 + g / 9000.0, g % 110, jsonb_build_object('lat', -8.05 - g / 10000.0, 'lon', -34.9, 'motorista', pg_temp.given(g) || ' ' || pg_temp.family(g), 'ignicao', g % 2 = 0, 'sat', g % 12), int4range(g % 50, g % 50 + 10) FROM generate_series(1, 1200) g JOIN (SELECT serie, row_number() OVER () AS n FROM telemetria{S}.aparelho) a ON a.n = 1 + g % 150;
CREATE INDEX ON telemetria{S}.posicao USING brin (momento); CREATE INDEX ON telemetria{S}.posicao (serie, momento); CREATE INDEX ON veiculo USING gist (caminho); CREATE INDEX ON veiculo USING gin (extras);
CREATE TABLE multa (auto varchar(10) PRIMARY KEY, placa char(7) NOT NULL, cpf_infrator varchar(14), nome_infrator text, valor numeric, quando timestamptz, local text, agente text, fotos bytea[], CHECK (valor > 0 OR nome_infrator = 'ANISTIADO'));
INSERT INTO multa SELECT 'A' || 100000 + g, (SELECT placa FROM veiculo LIMIT 1 OFFSET g % 150), (SELECT cpf FROM motorista LIMIT 1 OFFSET g % 250), CASE WHEN g % 30 = 0 THEN 'ANISTIADO' ELSE pg_temp.given(g) || ' ' || pg_temp.family(g) END, CASE WHEN g % 30 = 0 THEN 0 ELSE 88.38 END, timestamptz '2024-01-01' + g * interval '5 hours', 'Av. ' || pg_temp.family(g) || ', ' || g, 'Agente ' || pg_temp.family(g % 4), ARRAY[sha256(g::text::bytea)] FROM generate_series(1, 200) g;
CREATE VIEW telemetria{S}.ultima AS SELECT DISTINCT ON (serie) serie, momento, latitude, longitude FROM telemetria{S}.posicao ORDER BY serie, momento DESC;
CREATE MATERIALIZED VIEW resumo AS SELECT a.placa, m.nome_completo, u.momento FROM telemetria{S}.ultima u JOIN telemetria{S}.aparelho a USING (serie) JOIN veiculo v USING (placa) JOIN motorista m ON m.cpf = v.motorista; CREATE UNIQUE INDEX ON resumo (placa, momento); CREATE MATERIALIZED VIEW resumo_vazio AS SELECT count(*) FROM resumo WITH NO DATA;
CREATE FUNCTION distancia(a double precision, b double precision DEFAULT 0, VARIADIC r double precision[] DEFAULT '{1}') RETURNS double precision LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT a - b + r[1] $$; CREATE OPERATOR <~> (LEFTARG = double precision, RIGHTARG = double precision, FUNCTION = float8mi);
CREATE AGGREGATE junta(text) (SFUNC = textcat, STYPE = text, INITCOND = ''); CREATE STATISTICS est ON modelo, ano FROM veiculo; CREATE TYPE faixa_vel AS RANGE (subtype = real); CREATE TABLE limite (via text PRIMARY KEY, v faixa_vel, m int4multirange); INSERT INTO limite SELECT 'via ' || g, faixa_vel(g, g + 40), int4multirange(int4range(g, g + 2), int4range(g + 5, g + 9)) FROM generate_series(1, 40) g;
-- about somebody: motorista | cpf | nome_completo | cnh | celular | nascimento | (xpath('//rua/text()', endereco))[1] | foto | observacao | apelidos[1]
-- either: motorista | validade_cnh | endereco | salario | codigo_pin | apelidos | turno
-- about somebody: veiculo | proprietario | motorista | extras -> 'responsavel' | placa | chassi | renavam
-- either: veiculo | extras | caminho
-- about somebody: telemetria{S}.aparelho | imei | push_token | apn_senha
-- either: telemetria{S}.aparelho | mac | ip | rede | serie | placa | versao
-- about somebody: telemetria{S}.posicao | latitude || ' ' || longitude | bruto ->> 'motorista'
-- either: telemetria{S}.posicao | serie | latitude | longitude | bruto
-- about somebody: multa | cpf_infrator | nome_infrator | local
-- either: multa | auto | placa | agente | fotos | quando
-- either: limite | via
